//! [`export_plugin!`](crate::export_plugin) makes a crate's handler loadable.

#[doc(hidden)]
pub use crate::abi::AbiStamp;
#[doc(hidden)]
pub use crate::abi_plugin::{Exported, Exports, header};
#[doc(hidden)]
pub use abi_stable::library::LibHeader;

/// Makes a handler loadable: `export_plugin!(MyHandler);`, once, in a crate with
/// `crate-type = ["cdylib", "rlib"]`.
///
/// The symbols exported carry the crate's name, so that several such crates can also be linked into
/// one program, as tests do. A crate that builds upon another plugin's crate exports both; the host
/// takes the one that the library's file is named after.
///
/// ```
/// use tallyho_plugin::prelude::*;
///
/// struct Nothing;
///
/// impl Handler for Nothing {
///     fn manifest() -> Manifest {
///         Manifest::new("nothing", "0.1.0")
///     }
///
///     fn create() -> Result<Self, Fault> {
///         Ok(Nothing)
///     }
/// }
///
/// tallyho_plugin::export_plugin!(Nothing);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($handler:ty) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a plugin built with panic = \"abort\" would end its host at the first panic; \
             remove `panic = \"abort\"` from the profile"
        );
        $crate::__export_module!($crate::export::Exported<$handler>);
    };
}

/// What [`export_plugin!`] does, without its check; by itself for tests of the loader only.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_module {
    ($exports:ty) => {
        const _: () = {
            #[unsafe(export_name = ::core::concat!("tallyho_plugin_stamp_", ::core::env!("CARGO_CRATE_NAME")))]
            pub static STAMP: $crate::export::AbiStamp =
                $crate::export::AbiStamp::of_this_build(::core::cfg!(panic = "unwind"));
            #[unsafe(export_name = ::core::concat!("tallyho_plugin_header_", ::core::env!("CARGO_CRATE_NAME")))]
            pub static HEADER: $crate::export::LibHeader = $crate::export::header::<$exports>();
        };
    };
}
