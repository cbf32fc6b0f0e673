//! The host's side of the border: a [`ServicesTable`] over any [`Services`].

use crate::Fault;
use crate::abi::{AbiResult, HostCallPtr, HostServices, ServicesTable, ServicesTableRef};
use crate::abi_adapt::{fault_bytes, panic_text, rows_to_bytes};
use crate::record::{AgentId, Timestamp};
use crate::services::{LogLevel, Services};
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RErr, ROk, ROption, RSlice, RSliceMut, RStr, RVec};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lends `services` to a plugin while `call` runs.
///
/// # Errors
/// `Host` with code `panic` where a service panicked: what the plugin then returned means nothing,
/// because it may have gone on with an answer made up at the border.
pub fn lend_services<R>(services: &mut dyn Services, call: impl FnOnce(HostServices<'_>) -> R) -> Result<R, Fault> {
    let mut host_call = HostCall { services, panic: None };
    let call_borrowed = HostCallPtr((&raw mut host_call).cast());
    let result = call(HostServices { table: SERVICES, call_borrowed, lent: PhantomData });
    match host_call.panic {
        None => Ok(result),
        Some(text) => Err(Fault::host(format!("a service of the host panicked: {text}"))
            .code("panic")
            .fix("report it to the makers of this program with its log")),
    }
}

static TABLE: &WithMetadata<ServicesTable> = &WithMetadata::new(ServicesTable {
    get,
    scan,
    put,
    delete,
    send,
    withdraw,
    notice,
    set_timer,
    cancel_timer,
    invoke,
    verify,
    sign_agent,
    sign_user,
    now,
    random,
    log,
    metric,
    relate,
    unrelate,
});
static SERVICES: ServicesTableRef = ServicesTableRef(TABLE.static_as_prefix());

/// What a [`HostCallPtr`] points to.
struct HostCall<'a> {
    services: &'a mut dyn Services,
    /// The first panic. The event then fails whatever the plugin makes of it, and no service is
    /// called again: what the panic left behind may be inconsistent.
    panic: Option<String>,
}

/// Runs a service; `otherwise` is the answer where it panics or one before it did.
///
/// # Safety
/// `call` is of a `HostServices` whose call is still under way, on its thread.
unsafe fn guarded_service<T>(call: HostCallPtr, otherwise: T, work: impl FnOnce(&mut dyn Services) -> T) -> T {
    // SAFETY: `lend_services` made the pointer from a `HostCall` that outlives the call, and hands
    // out no other reference to it meanwhile; services do not call back into the plugin with it.
    let host_call = unsafe { &mut *call.0.cast::<HostCall<'_>>() };
    if host_call.panic.is_some() {
        return otherwise;
    }
    match catch_unwind(AssertUnwindSafe(|| work(host_call.services))) {
        Ok(answer) => answer,
        Err(payload) => {
            host_call.panic = Some(panic_text(payload));
            otherwise
        }
    }
}

/// Runs a service that may fail.
///
/// # Safety
/// As for [`guarded_service`].
unsafe fn service<T>(call: HostCallPtr, work: impl FnOnce(&mut dyn Services) -> Result<T, Fault>) -> AbiResult<T> {
    // SAFETY: the caller keeps the promise.
    let result = unsafe { guarded_service(call, None, |services| Some(work(services))) };
    match result {
        Some(Ok(value)) => ROk(value),
        Some(Err(fault)) => RErr(fault_bytes(&fault)),
        None => RErr(fault_bytes(&Fault::host("a service of the host panicked").code("panic"))),
    }
}

fn read<T: DeserializeOwned>(what: &str, bytes: RSlice<'_, u8>) -> Result<T, Fault> {
    ciborium::from_reader(bytes.as_slice())
        .map_err(|error| Fault::failed(format!("the plugin handed over a malformed {what}: {error}")))
}

// SAFETY, for all functions below: a plugin calls them with the `call_borrowed` that it was lent,
// during that call and on its thread, as `ServicesTable` demands.

unsafe extern "C" fn get(call: HostCallPtr, table: RStr<'_>, key: RSlice<'_, u8>) -> AbiResult<ROption<RVec<u8>>> {
    // SAFETY: see above.
    unsafe { service(call, |services| Ok(services.get(table.as_str(), key.as_slice())?.map(RVec::from).into())) }
}

unsafe extern "C" fn scan(call: HostCallPtr, table: RStr<'_>, range: RSlice<'_, u8>) -> AbiResult<RVec<u8>> {
    // SAFETY: see above.
    unsafe {
        service(call, |services| Ok(rows_to_bytes(&services.scan(table.as_str(), &read("range", range)?)?)?.into()))
    }
}

unsafe extern "C" fn put(
    call: HostCallPtr,
    table: RStr<'_>,
    key: RSlice<'_, u8>,
    value: RSlice<'_, u8>,
) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.put(table.as_str(), key.as_slice(), value.as_slice())) }
}

unsafe extern "C" fn delete(call: HostCallPtr, table: RStr<'_>, key: RSlice<'_, u8>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.delete(table.as_str(), key.as_slice())) }
}

unsafe extern "C" fn send(call: HostCallPtr, message: RSlice<'_, u8>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.send(&read("message", message)?)) }
}

unsafe extern "C" fn withdraw(call: HostCallPtr, agent: RStr<'_>, key: RStr<'_>) -> AbiResult<bool> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.withdraw(&AgentId(agent.as_str().to_owned()), key.as_str())) }
}

unsafe extern "C" fn notice(call: HostCallPtr, user: RStr<'_>, notice: RSlice<'_, u8>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.notice(user.as_str(), &read("notice", notice)?)) }
}

unsafe extern "C" fn set_timer(call: HostCallPtr, key: RStr<'_>, at: i64) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.set_timer(key.as_str(), Timestamp(at))) }
}

unsafe extern "C" fn cancel_timer(call: HostCallPtr, key: RStr<'_>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.cancel_timer(key.as_str())) }
}

unsafe extern "C" fn invoke(
    call: HostCallPtr,
    plugin: RStr<'_>,
    command: RStr<'_>,
    argument: RSlice<'_, u8>,
) -> AbiResult<RVec<u8>> {
    // SAFETY: see above.
    unsafe {
        service(call, |services| Ok(services.invoke(plugin.as_str(), command.as_str(), argument.as_slice())?.into()))
    }
}

unsafe extern "C" fn verify(call: HostCallPtr, check: RSlice<'_, u8>) -> bool {
    // SAFETY: see above.
    unsafe { guarded_service(call, false, |services| read("check", check).is_ok_and(|check| services.verify(&check))) }
}

unsafe extern "C" fn sign_agent(call: HostCallPtr, text: RSlice<'_, u8>) -> AbiResult<RVec<u8>> {
    // SAFETY: see above.
    unsafe { service(call, |services| Ok(services.sign_agent(text.as_slice())?.into())) }
}

unsafe extern "C" fn sign_user(call: HostCallPtr, user: RStr<'_>, text: RSlice<'_, u8>) -> AbiResult<RVec<u8>> {
    // SAFETY: see above.
    unsafe { service(call, |services| Ok(services.sign_user(user.as_str(), text.as_slice())?.into())) }
}

unsafe extern "C" fn now(call: HostCallPtr) -> i64 {
    // SAFETY: see above.
    unsafe { guarded_service(call, 0, |services| services.now().0) }
}

unsafe extern "C" fn random(call: HostCallPtr, mut buffer: RSliceMut<'_, u8>) {
    // SAFETY: see above.
    unsafe { guarded_service(call, (), |services| services.random(buffer.as_mut_slice())) }
}

unsafe extern "C" fn log(call: HostCallPtr, level: u8, text: RStr<'_>) {
    let level = match level {
        1 => LogLevel::Error,
        2 => LogLevel::Warn,
        3 => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    // SAFETY: see above.
    unsafe { guarded_service(call, (), |services| services.log(level, text.as_str())) }
}

unsafe extern "C" fn metric(call: HostCallPtr, name: RStr<'_>, add: i64) {
    // SAFETY: see above.
    unsafe { guarded_service(call, (), |services| services.metric(name.as_str(), add)) }
}

unsafe extern "C" fn relate(call: HostCallPtr, relation: RSlice<'_, u8>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe { service(call, |services| services.relate(&read("relation", relation)?)) }
}

unsafe extern "C" fn unrelate(call: HostCallPtr, user: RStr<'_>, subject: RStr<'_>, agent: RStr<'_>) -> AbiResult<()> {
    // SAFETY: see above.
    unsafe {
        service(call, |services| {
            services.unrelate(user.as_str(), subject.as_str(), &AgentId(agent.as_str().to_owned()))
        })
    }
}
