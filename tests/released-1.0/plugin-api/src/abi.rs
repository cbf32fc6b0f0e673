//! The border between a host and a loaded plugin.
//!
//! # The promise
//!
//! **A plugin built for 1.x loads in any host 1.y with y ≥ x.** Hence, within major version 1:
//!
//! - [`AbiStamp`] never changes: it is read, from the file and before a byte of the plugin runs, to
//!   find out whether anything else here may be believed.
//! - [`PluginModule`] and [`ServicesTable`] only ever grow, at their end, by one field per new
//!   function, with [`ABI_MINOR`] raised; fields are never removed, reordered or given another type.
//! - Records cross as CBOR maps, where members may be added: a reader ignores those it does not
//!   know and has a default for those it misses. An event of a kind unknown to the plugin is
//!   answered by a fault with code `unknown-event`.
//! - The types here keep their names and stay in this crate, and the crate's own version stays
//!   semver-compatible: both are part of the layout that is compared.
//!
//! # Ownership, by name
//!
//! - `…_borrowed` is lent for the one call; whoever is called keeps no pointer into it.
//! - Whatever is *returned* is owned by the caller; an [`RVec`] brings its own deallocator, so it
//!   may be dropped on either side. (For this reason a library is never unloaded.)
//! - [`HandlerPtr`] belongs to the plugin; the host holds it from `create` until it gives it back to
//!   `drop_owned`, once, with no call under way.
//! - [`HostServices`] is lent for the one call and used by the calling thread only.
//!
//! # Panics and faults
//!
//! No unwinding crosses in either direction. Each function catches its own side's panics, forgets
//! the payload (dropping it could panic again) and returns a [`Fault`](crate::Fault) in CBOR.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RResult, RSlice, RSliceMut, RStr, RVec};
use std::marker::PhantomData;

/// A host takes plugins of its own major version only.
pub const ABI_MAJOR: u32 = 1;
/// A host takes plugins of its own minor version and of earlier ones.
pub const ABI_MINOR: u32 = 0;
/// How every stamp begins.
pub const STAMP_MAGIC: [u8; 16] = *b"TALLYHO-PLUGIN\0\0";
/// The symbol of the stamp is this and the plugin's crate name, so that several plugins can be
/// linked into one program.
pub const STAMP_SYMBOL_PREFIX: &str = "tallyho_plugin_stamp_";
/// The symbol of the `LibHeader` is this and the plugin's crate name.
pub const HEADER_SYMBOL_PREFIX: &str = "tallyho_plugin_header_";

/// What a plugin says of its build in plain integers: no pointer, so that it can be read from the
/// file. 32 bytes, in the byte order of the machine.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbiStamp {
    /// [`STAMP_MAGIC`].
    pub magic: [u8; 16],
    /// [`ABI_MAJOR`] at its build.
    pub major: u32,
    /// [`ABI_MINOR`] at its build.
    pub minor: u32,
    /// 1 where a panic unwinds; 0 where it would end the host (`panic = "abort"`).
    pub unwinds: u32,
    /// 0.
    pub reserved: u32,
}

impl AbiStamp {
    /// Size in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// The stamp of a plugin built against this crate.
    pub const fn of_this_build(unwinds: bool) -> Self {
        AbiStamp { magic: STAMP_MAGIC, major: ABI_MAJOR, minor: ABI_MINOR, unwinds: unwinds as u32, reserved: 0 }
    }

    /// Reads a stamp; `None` where the bytes are too few or begin otherwise.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let magic: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let stamp = AbiStamp { magic, major: word(16)?, minor: word(20)?, unwinds: word(24)?, reserved: word(28)? };
        (magic == STAMP_MAGIC).then_some(stamp)
    }
}

/// A value, or a [`Fault`](crate::Fault) in CBOR. Both are owned by whoever receives them.
pub type AbiResult<T> = RResult<T, RVec<u8>>;

/// A handler, owned by the plugin that made it.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct HandlerPtr(pub *mut ());

/// The host's side of the call under way; meaningful to the host alone.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct HostCallPtr(pub *mut ());

/// The host's functions, lent for the call under way.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostServices<'call> {
    /// The functions.
    pub table: ServicesTableRef,
    /// The first argument of each of them.
    pub call_borrowed: HostCallPtr,
    /// Ties the copy to the call.
    pub lent: PhantomData<&'call mut ()>,
}

/// What a plugin exports. `handler_borrowed` is always what `create` returned, not yet given back.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// The [`Manifest`](crate::Manifest) in CBOR.
    pub manifest: extern "C" fn() -> AbiResult<RVec<u8>>,
    /// Makes a handler.
    pub create: extern "C" fn() -> AbiResult<HandlerPtr>,
    /// `Handler::prepare`: a CBOR array of [`Check`](crate::services::Check)s; empty bytes for none.
    /// May run beside other calls on the same handler. The event and its body as for `handle`.
    pub prepare: unsafe extern "C" fn(
        handler_borrowed: HandlerPtr,
        event_borrowed: RSlice<'_, u8>,
        body_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    /// Handles one event: the [`Event`](crate::Event) in CBOR without its body, and the body, itself
    /// CBOR, apart, so that it is handed on without being parsed. Returns the answer in CBOR.
    pub handle: unsafe extern "C" fn(
        handler_borrowed: HandlerPtr,
        event_borrowed: RSlice<'_, u8>,
        body_borrowed: RSlice<'_, u8>,
        services_borrowed: HostServices<'_>,
    ) -> AbiResult<RVec<u8>>,
    /// `Handler::migrate`.
    pub migrate: unsafe extern "C" fn(
        handler_borrowed: HandlerPtr,
        from: u32,
        services_borrowed: HostServices<'_>,
    ) -> AbiResult<()>,
    /// Takes a handler back and drops it.
    #[sabi(last_prefix_field)]
    pub drop_owned: unsafe extern "C" fn(handler_owned: HandlerPtr) -> AbiResult<()>,
}

/// [`Services`](crate::services::Services), function by function; see there for what each does.
/// Structured arguments are CBOR. `call_borrowed` is [`HostServices::call_borrowed`], during the call.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ServicesTableRef)))]
pub struct ServicesTable {
    /// `get`.
    pub get: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        table_borrowed: RStr<'_>,
        key_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<ROption<RVec<u8>>>,
    /// `scan`: a CBOR `Range`. The rows follow each other: length of the key (4 bytes, little
    /// endian), key, length of the value, value.
    pub scan: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        table_borrowed: RStr<'_>,
        range_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    /// `put`.
    pub put: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        table_borrowed: RStr<'_>,
        key_borrowed: RSlice<'_, u8>,
        value_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<()>,
    /// `delete`.
    pub delete: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        table_borrowed: RStr<'_>,
        key_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<()>,
    /// `send`: a CBOR `Outgoing`.
    pub send: unsafe extern "C" fn(call_borrowed: HostCallPtr, message_borrowed: RSlice<'_, u8>) -> AbiResult<()>,
    /// `withdraw`.
    pub withdraw: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        agent_borrowed: RStr<'_>,
        key_borrowed: RStr<'_>,
    ) -> AbiResult<bool>,
    /// `notice`: the notice in CBOR.
    pub notice: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        user_borrowed: RStr<'_>,
        notice_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<()>,
    /// `set_timer`: milliseconds since 1970.
    pub set_timer: unsafe extern "C" fn(call_borrowed: HostCallPtr, key_borrowed: RStr<'_>, at: i64) -> AbiResult<()>,
    /// `cancel_timer`.
    pub cancel_timer: unsafe extern "C" fn(call_borrowed: HostCallPtr, key_borrowed: RStr<'_>) -> AbiResult<()>,
    /// `invoke`.
    pub invoke: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        plugin_borrowed: RStr<'_>,
        command_borrowed: RStr<'_>,
        argument_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    /// `verify`: a CBOR `Check`.
    pub verify: unsafe extern "C" fn(call_borrowed: HostCallPtr, check_borrowed: RSlice<'_, u8>) -> bool,
    /// `sign_agent`.
    pub sign_agent:
        unsafe extern "C" fn(call_borrowed: HostCallPtr, text_borrowed: RSlice<'_, u8>) -> AbiResult<RVec<u8>>,
    /// `sign_user`.
    pub sign_user: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        user_borrowed: RStr<'_>,
        text_borrowed: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    /// `now`: milliseconds since 1970.
    pub now: unsafe extern "C" fn(call_borrowed: HostCallPtr) -> i64,
    /// `random`: fills the buffer.
    pub random: unsafe extern "C" fn(call_borrowed: HostCallPtr, buffer_borrowed: RSliceMut<'_, u8>),
    /// `log`: the level as a number, 1 (error) to 4 (debug); others count as 4.
    pub log: unsafe extern "C" fn(call_borrowed: HostCallPtr, level: u8, text_borrowed: RStr<'_>),
    /// `metric`.
    pub metric: unsafe extern "C" fn(call_borrowed: HostCallPtr, name_borrowed: RStr<'_>, add: i64),
    /// `relate`: a CBOR `Relation`.
    pub relate: unsafe extern "C" fn(call_borrowed: HostCallPtr, relation_borrowed: RSlice<'_, u8>) -> AbiResult<()>,
    /// `unrelate`.
    #[sabi(last_prefix_field)]
    pub unrelate: unsafe extern "C" fn(
        call_borrowed: HostCallPtr,
        user_borrowed: RStr<'_>,
        subject_borrowed: RStr<'_>,
        agent_borrowed: RStr<'_>,
    ) -> AbiResult<()>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "tallyho_plugin";
    const NAME: &'static str = "tallyho_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}
