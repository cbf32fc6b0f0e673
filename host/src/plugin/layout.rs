//! Whether the ABI types that a plugin was built with are this host's.

use crate::plugin::error::Refusal;
use abi_stable::abi_stability::abi_checking::{
    AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::TypeLayout;
use tallyho_plugin::abi::ABI_MINOR;

/// Longest text shown of either side of a difference, in bytes: a type's full layout has pages.
const MAX_SIDE: usize = 160;

/// Compares the layouts of the module, and of all that it refers to. Versions come first: that the
/// plugin's minor version is not newer is known here.
///
/// `abi_stable` wants the expected side to have no more fields than the found one. The plugin's types
/// must thus be the expected ones, being the older; where the minor versions are the same, both
/// directions must hold.
///
/// # Errors
/// [`Refusal::Layout`] with the first difference.
pub fn check_layouts(host: &'static TypeLayout, plugin: &'static TypeLayout, plugin_minor: u32) -> Result<(), Refusal> {
    if plugin_minor == ABI_MINOR {
        compare(host, plugin).map_err(|errors| refusal(&errors, false))?;
    }
    compare(plugin, host).map_err(|errors| refusal(&errors, true))
}

fn compare(interface: &'static TypeLayout, implementation: &'static TypeLayout) -> Result<(), AbiInstabilityErrors> {
    // Thrown away: the global one would keep pointers into every library compared.
    check_layout_compatibility_with_globals(interface, implementation, &CheckingGlobals::new())
}

/// The first difference in one line; `abi_stable` prints both types in full.
fn refusal(errors: &AbiInstabilityErrors, sides_swapped: bool) -> Refusal {
    let text = errors.errors.iter().map(ToString::to_string).collect::<String>();
    let (mut part, mut what, mut sides) = ("", String::new(), [String::new(), String::new()]);
    for line in text.lines().map(str::trim) {
        if let Some(error) = line.strip_prefix("Error:") {
            if !what.is_empty() {
                break;
            }
            (part, what) = ("", error.to_owned());
        } else if matches!(line, "Expected:" | "Found:") {
            part = line;
        } else if !line.is_empty() && !part.is_empty() {
            let side = &mut sides[usize::from(part == "Found:")];
            if side.len() + line.len() < MAX_SIDE {
                side.extend([if side.is_empty() { "" } else { " " }, line]);
            }
        }
    }
    if sides_swapped {
        sides.reverse();
    }
    let [expected, found] = sides;
    Refusal::Layout(format!("{what}: expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, dead_code, missing_docs)]
    use super::*;
    use abi_stable::StableAbi;
    use abi_stable::std_types::RSlice;

    // One ABI at three ages: the same names in the same crate, as the plugin's and the host's are.
    macro_rules! age {
        ($age:ident, module { $($module:tt)* }, table { $($table:tt)* }) => {
            mod $age {
                use super::*;
                #[repr(C)]
                #[derive(StableAbi)]
                #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
                pub struct Module {
                    pub call: extern "C" fn(RSlice<'_, u8>, TableRef) -> bool,
                    #[sabi(last_prefix_field)]
                    $($module)*
                }
                #[repr(C)]
                #[derive(StableAbi)]
                #[sabi(kind(Prefix(prefix_ref = TableRef)))]
                pub struct Table {
                    #[sabi(last_prefix_field)]
                    $($table)*
                }
            }
        };
    }
    age!(now, module { pub last: u32, }, table { pub get: extern "C" fn() -> u8, });
    age!(next, module { pub last: u32, pub more: u64, }, table { pub get: extern "C" fn() -> u8, pub set: extern "C" fn(u8), });
    age!(broken, module { pub last: u64, }, table { pub get: extern "C" fn() -> u8, });

    fn layout<T: StableAbi>() -> &'static TypeLayout {
        T::LAYOUT
    }

    #[test]
    fn an_older_plugin_fits_a_newer_host() {
        check_layouts(layout::<next::ModuleRef>(), layout::<now::ModuleRef>(), ABI_MINOR.wrapping_sub(1)).unwrap();
        check_layouts(layout::<now::ModuleRef>(), layout::<now::ModuleRef>(), ABI_MINOR).unwrap();
    }

    #[test]
    fn a_plugin_that_grew_without_a_new_version_is_refused() {
        for (host, plugin) in [
            (layout::<now::ModuleRef>(), layout::<next::ModuleRef>()),
            (layout::<next::ModuleRef>(), layout::<now::ModuleRef>()),
        ] {
            let Err(Refusal::Layout(what)) = check_layouts(host, plugin, ABI_MINOR) else { panic!("it was taken") };
            assert!(what.starts_with("too many fields: expected "), "{what}");
        }
    }

    #[test]
    fn a_changed_type_is_shown_in_one_line_from_the_hosts_view() {
        for plugin_minor in [ABI_MINOR, ABI_MINOR.wrapping_sub(1)] {
            let refused = check_layouts(layout::<now::ModuleRef>(), layout::<broken::ModuleRef>(), plugin_minor);
            assert_eq!(refused, Err(Refusal::Layout("mismatched type: expected u32, found u64".into())));
        }
    }

    #[test]
    fn checking_one_library_leaves_nothing_behind_for_the_next() {
        check_layouts(layout::<now::ModuleRef>(), layout::<now::ModuleRef>(), ABI_MINOR).unwrap();
        check_layouts(layout::<broken::ModuleRef>(), layout::<broken::ModuleRef>(), ABI_MINOR).unwrap();
        check_layouts(layout::<next::ModuleRef>(), layout::<next::ModuleRef>(), ABI_MINOR).unwrap();
    }
}
