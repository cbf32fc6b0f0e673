//! The plugin's side of the border: [`Services`] over the table that the host lends, and the
//! functions that a plugin exports for its [`Handler`].

use crate::abi::{AbiResult, HandlerPtr, HostServices, PluginModule, PluginModuleRef};
use crate::abi_adapt::{event_from_bytes, fault_from, guarded_for_abi, rows_from_bytes};
use crate::context::to_cbor;
use crate::handler::dispatch;
use crate::record::{AgentId, Timestamp};
use crate::services::{Check, LogLevel, Outgoing, Range, Relation, Row, Services};
use crate::{Context, Fault, Handler};
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRefTrait, WithMetadata};
use abi_stable::std_types::{ROk, RSlice, RSliceMut, RVec};
use serde_json::Value;
use std::marker::PhantomData;

/// A module to export: by way of [`Exported`] for any handler.
pub trait Exports: 'static {
    /// The module.
    const MODULE: PluginModuleRef;
}

/// The header that the host asks for, leading to `E`'s module.
pub const fn header<E: Exports>() -> LibHeader {
    // SAFETY: `module_of` returns a `PluginModuleRef`, erased.
    unsafe { LibHeader::from_constructor::<PluginModuleRef>(module_of::<E>, CheckTypeLayout::Yes) }
}

extern "C" fn module_of<E: Exports>() -> RootModuleResult {
    // SAFETY: the other end restores the type named to `from_constructor`.
    ROk(unsafe { E::MODULE.to_prefix_ref().cast::<ErasedPrefix>() })
}

/// The exports of a handler.
pub struct Exported<H>(PhantomData<fn() -> H>);

impl<H: Handler> Exported<H> {
    abi_stable::staticref! {
        const TABLE: WithMetadata<PluginModule> = WithMetadata::new(PluginModule {
            manifest: manifest::<H>,
            create: create::<H>,
            prepare: prepare::<H>,
            handle: handle::<H>,
            migrate: migrate::<H>,
            drop_owned: drop_owned::<H>,
        })
    }
}

impl<H: Handler> Exports for Exported<H> {
    const MODULE: PluginModuleRef = PluginModuleRef(Self::TABLE.as_prefix());
}

extern "C" fn manifest<H: Handler>() -> AbiResult<RVec<u8>> {
    guarded_for_abi(|| Ok(to_cbor(&H::manifest())?.into()))
}

extern "C" fn create<H: Handler>() -> AbiResult<HandlerPtr> {
    guarded_for_abi(|| Ok(HandlerPtr(Box::into_raw(Box::new(H::create()?)).cast())))
}

/// # Safety
/// `handler_borrowed` came from [`create`] of the same `H` and was not given back.
unsafe fn handler<'call, H: Handler>(handler_borrowed: HandlerPtr) -> &'call H {
    // SAFETY: then it points to an `H` that lives and is only ever shared (`H` is `Sync`).
    unsafe { &*handler_borrowed.0.cast::<H>() }
}

unsafe extern "C" fn prepare<H: Handler>(
    handler_borrowed: HandlerPtr,
    event_borrowed: RSlice<'_, u8>,
    body_borrowed: RSlice<'_, u8>,
) -> AbiResult<RVec<u8>> {
    guarded_for_abi(|| {
        let event = event_from_bytes(event_borrowed.as_slice(), body_borrowed.as_slice())?;
        // SAFETY: the host's promise for `PluginModule`.
        let checks: Vec<Check> = unsafe { handler::<H>(handler_borrowed) }.prepare(&event);
        Ok(if checks.is_empty() { RVec::new() } else { to_cbor(&checks)?.into() })
    })
}

unsafe extern "C" fn handle<H: Handler>(
    handler_borrowed: HandlerPtr,
    event_borrowed: RSlice<'_, u8>,
    body_borrowed: RSlice<'_, u8>,
    services_borrowed: HostServices<'_>,
) -> AbiResult<RVec<u8>> {
    guarded_for_abi(|| {
        let event = event_from_bytes(event_borrowed.as_slice(), body_borrowed.as_slice())?;
        let mut services = AbiServices::new(services_borrowed);
        // SAFETY: the host's promise for `PluginModule`.
        let handler = unsafe { handler::<H>(handler_borrowed) };
        Ok(to_cbor(&dispatch(handler, &event, &mut Context::new(&mut services))?)?.into())
    })
}

unsafe extern "C" fn migrate<H: Handler>(
    handler_borrowed: HandlerPtr,
    from: u32,
    services_borrowed: HostServices<'_>,
) -> AbiResult<()> {
    guarded_for_abi(|| {
        let mut services = AbiServices::new(services_borrowed);
        // SAFETY: the host's promise for `PluginModule`.
        unsafe { handler::<H>(handler_borrowed) }.migrate(from, &mut Context::new(&mut services))
    })
}

unsafe extern "C" fn drop_owned<H: Handler>(handler_owned: HandlerPtr) -> AbiResult<()> {
    guarded_for_abi(|| {
        // SAFETY: `create` made it with `Box`, and the host gives it back once, no call under way.
        drop(unsafe { Box::from_raw(handler_owned.0.cast::<H>()) });
        Ok(())
    })
}

/// [`Services`] by way of the host's table, for the call it was lent for.
pub struct AbiServices<'call> {
    host: HostServices<'call>,
}

impl<'call> AbiServices<'call> {
    /// Services by way of what the host lent.
    pub fn new(host: HostServices<'call>) -> Self {
        AbiServices { host }
    }
}

// Every call below hands back the pointer that came with the table, within the call it was lent for
// and on its thread (`AbiServices` is neither `Send` nor `Sync`), as `ServicesTable` demands.
macro_rules! host {
    ($self:ident.$function:ident($($argument:expr),*)) => {
        // SAFETY: see above.
        unsafe { ($self.host.table.$function())($self.host.call_borrowed $(, $argument)*) }
    };
}

fn answer<T>(result: AbiResult<T>) -> Result<T, Fault> {
    result.into_result().map_err(|bytes| fault_from(&bytes, Fault::host))
}

impl Services for AbiServices<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(answer(host!(self.get(table.into(), key.into())))?.into_option().map(|value| value.to_vec()))
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        let range = to_cbor(range)?;
        rows_from_bytes(&answer(host!(self.scan(table.into(), range.as_slice().into())))?)
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        answer(host!(self.put(table.into(), key.into(), value.into())))
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        answer(host!(self.delete(table.into(), key.into())))
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        let message = to_cbor(message)?;
        answer(host!(self.send(message.as_slice().into())))
    }

    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        answer(host!(self.withdraw(agent.0.as_str().into(), key.into())))
    }

    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        let notice = to_cbor(notice)?;
        answer(host!(self.notice(user.into(), notice.as_slice().into())))
    }

    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        answer(host!(self.set_timer(key.into(), at.0)))
    }

    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        answer(host!(self.cancel_timer(key.into())))
    }

    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(answer(host!(self.invoke(plugin.into(), command.into(), argument.into())))?.to_vec())
    }

    fn verify(&mut self, check: &Check) -> bool {
        to_cbor(check).is_ok_and(|check| host!(self.verify(check.as_slice().into())))
    }

    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(answer(host!(self.sign_agent(text.into())))?.to_vec())
    }

    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(answer(host!(self.sign_user(user.into(), text.into())))?.to_vec())
    }

    fn now(&self) -> Timestamp {
        Timestamp(host!(self.now()))
    }

    fn random(&mut self, buffer: &mut [u8]) {
        host!(self.random(RSliceMut::from_mut_slice(buffer)));
    }

    fn log(&mut self, level: LogLevel, text: &str) {
        host!(self.log(level as u8, text.into()));
    }

    fn metric(&mut self, name: &str, add: i64) {
        host!(self.metric(name.into(), add));
    }

    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        let relation = to_cbor(relation)?;
        answer(host!(self.relate(relation.as_slice().into())))
    }

    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        answer(host!(self.unrelate(user.into(), subject.into(), agent.0.as_str().into())))
    }
}
