//! The host's own commands, described as a plugin's are.

use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest};

/// What the host can be asked to do.
pub fn manifest() -> Manifest {
    let text = |name: &str, help: &str| Argument::option(name, ArgumentKind::Text, help);
    let given = |name: &str, help: &str| Argument::positional(name, ArgumentKind::Text, help);
    Manifest::new("host", env!("CARGO_PKG_VERSION"))
        .about("The site itself")
        .command(CommandSpec::new("status", "The running site at a glance").words(&["status"]))
        .command(
            CommandSpec::new("user.add", "Make a local account")
                .words(&["user", "add"])
                .argument(given("cuid", "The user's name at this site").example("alice"))
                .argument(text("name", "The name in the user's certificate").example("Alice Smith"))
                .argument(
                    Argument::option(
                        "key",
                        ArgumentKind::Choice(vec!["p521".to_owned(), "ed25519".to_owned()]),
                        "Kind of signing key: p521 is the network's, ed25519 is faster but known to Tallyho alone",
                    )
                    .default("p521"),
                )
                .argument(
                    Argument::option("public", ArgumentKind::Json, "The public key as JWK, where the private key stays elsewhere")
                        .example(r#"{"kty":"EC","crv":"P-521","x":"...","y":"..."}"#),
                ),
        )
        .command(CommandSpec::new("user.list", "Local accounts").words(&["user", "list"]))
        .command(CommandSpec::new("peer.list", "Agents known, and where").words(&["peer", "list"]))
        .command(
            CommandSpec::new("peer.set", "Say where an agent can be reached, or how it has to be spoken to")
                .words(&["peer", "set"])
                .argument(given("agent", "The agent id, 43 characters"))
                .argument(text("host", "DNS name or IP address").example("chips.example.org"))
                .argument(Argument::option("port", ArgumentKind::Integer, "TCP port").example("65430"))
                .argument(Argument::option(
                    "compat",
                    ArgumentKind::Choice(vec!["mychips-js".to_owned(), "none".to_owned()]),
                    "How the peer speaks",
                )),
        )
        .command(CommandSpec::new("ban.list", "Addresses that are refused").words(&["ban", "list"]))
        .command(
            CommandSpec::new("ban.clear", "Let an address in again")
                .words(&["ban", "clear"])
                .argument(given("addr", "The IP address").example("192.0.2.1")),
        )
        .command(CommandSpec::new("plugin.list", "Plugins that serve").words(&["plugin", "list"]))
}
