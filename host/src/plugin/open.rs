//! Mapping a library and taking what it exports into use. In the probe's child first, then here.

use crate::plugin::error::Refusal;
use crate::plugin::layout::check_layouts;
use crate::plugin::limits::MAX_MANIFEST_BYTES;
use crate::plugin::manifest::check_manifest;
use abi_stable::StableAbi;
use abi_stable::library::{AbiHeaderRef, LibraryError};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::error::Error;
use std::mem::ManuallyDrop;
use std::path::Path;
use tallyho_plugin::abi::{AbiStamp, HandlerPtr, PluginModuleRef};
use tallyho_plugin::abi_adapt::fault_from;
use tallyho_plugin::{Fault, Manifest};

/// Maps a library for the rest of the process's life.
///
/// # Errors
/// [`Refusal::Linker`].
pub fn map(path: &Path) -> Result<ManuallyDrop<Library>, Refusal> {
    // SAFETY: this runs the library's constructors, which is why the same bytes have been through the
    // probe; in the probe's child, what they do costs that child only. The file is a private copy,
    // which nobody overwrites while it is mapped.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(linker)?;
    // Never unmapped: vectors it made, thread-locals and exiting threads run its code later.
    Ok(ManuallyDrop::new(library))
}

/// The module behind the library's header symbol, layouts checked.
///
/// # Errors
/// [`Refusal::Linker`], [`Refusal::AbiStable`], [`Refusal::Layout`].
pub fn module(library: &Library, header_symbol: &str, stamp: &AbiStamp) -> Result<PluginModuleRef, Refusal> {
    // SAFETY: the symbol is the address of a static that begins with an `AbiHeader` (the stamp beside
    // it says that `export_plugin!` made both), and an `AbiHeaderRef` is a reference to one. The
    // library is never unmapped.
    let header: AbiHeaderRef = unsafe { *library.get(header_symbol.as_bytes()).map_err(linker)? };
    let header = header.upgrade().map_err(abi_stable_differs)?;
    let layout = header.layout().ok_or_else(|| Refusal::AbiStable("it carries no type layouts".into()))?;
    check_layouts(PluginModuleRef::LAYOUT, layout, stamp.minor)?;
    // SAFETY: the layout has just been found to be `PluginModuleRef`'s.
    unsafe { header.unchecked_layout::<PluginModuleRef>() }
        .map_err(|error| Refusal::AbiStable(format!("its module cannot be had: {}", error.to_string().trim())))
}

/// Reads the manifest and checks it.
///
/// # Errors
/// [`Refusal::NoManifest`], [`Refusal::Manifest`].
pub fn read_manifest(module: PluginModuleRef) -> Result<Manifest, Refusal> {
    let bytes =
        module.manifest()().into_result().map_err(|fault| Refusal::NoManifest(fault_from(&fault, Fault::failed)))?;
    let fix = "mend the plugin's Handler::manifest and build it again";
    if bytes.len() > MAX_MANIFEST_BYTES {
        let what = format!("it has {} bytes, expected at most {MAX_MANIFEST_BYTES}", bytes.len());
        return Err(Refusal::Manifest { what, fix: fix.into() });
    }
    let manifest = ciborium::from_reader(bytes.as_slice())
        .map_err(|error| Refusal::Manifest { what: format!("it cannot be read: {error}"), fix: fix.into() })?;
    check_manifest(&manifest)?;
    Ok(manifest)
}

/// A handler made by a plugin, given back to it when dropped.
pub struct OwnedHandler {
    module: PluginModuleRef,
    handler: HandlerPtr,
}

// SAFETY: the pointer is to a `Handler`, which is `Send + Sync`; the module is a table of functions.
unsafe impl Send for OwnedHandler {}
// SAFETY: as above.
unsafe impl Sync for OwnedHandler {}

impl OwnedHandler {
    /// Has the plugin make a handler.
    ///
    /// # Errors
    /// [`Refusal::NoHandler`].
    pub fn create(module: PluginModuleRef) -> Result<Self, Refusal> {
        match module.create()().into_result() {
            Ok(handler) => Ok(OwnedHandler { module, handler }),
            Err(fault) => Err(Refusal::NoHandler(fault_from(&fault, Fault::failed))),
        }
    }

    /// The functions to call with [`Self::borrow`].
    pub fn module(&self) -> PluginModuleRef {
        self.module
    }

    /// The handler, for a call that ends while `self` is borrowed.
    pub fn borrow(&self) -> HandlerPtr {
        self.handler
    }
}

impl Drop for OwnedHandler {
    fn drop(&mut self) {
        // SAFETY: `create` of the same module made it, it is given back here only, and no call is
        // under way, since calls borrow `self`.
        if let Err(fault) = unsafe { self.module.drop_owned()(self.handler) }.into_result() {
            log::warn!("a plugin's handler could not be dropped: {}", fault_from(&fault, Fault::failed));
        }
    }
}

/// What the dynamic linker said; `libloading` shows it in the source only.
fn linker(error: libloading::Error) -> Refusal {
    Refusal::Linker(error.source().map_or_else(|| error.to_string(), ToString::to_string))
}

fn abi_stable_differs(error: LibraryError) -> Refusal {
    Refusal::AbiStable(match error {
        LibraryError::InvalidAbiHeader(found) => {
            let expected = abi_stable::library::AbiHeader::VALUE;
            format!(
                "expected ABI {}.{}, found {}.{}",
                expected.abi_major, expected.abi_minor, found.abi_major, found.abi_minor
            )
        }
        LibraryError::InvalidCAbi { expected, found } => {
            format!("the compilers pass arguments differently: expected {expected}, found {found}")
        }
        _ => "its header cannot be used".into(),
    })
}
