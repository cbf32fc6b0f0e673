//! The host's own commands, described as a plugin describes its.

use tallyho_plugin::ArgumentKind::{Choice, Flag, Integer, Json, Text};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, CommandSpec, Manifest};

/// The name under which the host's commands are called.
pub const HOST: &str = "host";

/// What the host itself can be asked. Its answers are those of the command line's table.
pub fn manifest() -> Manifest {
    let agent = || {
        Argument::positional("agent", Text, "the site's agent id")
            .example("c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg")
    };
    let of_plugin = || Argument::option("plugin", Text, "this plugin's only").example("tally");
    let number = |help: &str| {
        let mut number = Argument::positional("number", Integer, help).example("3");
        number.required = false;
        number
    };
    let plugin = || Argument::positional("name", Text, "the plugin's name").example("tally");
    let mut file = Argument::positional("file", Text, "its library [default: the one it was loaded from]")
        .example("target/release/libtallyho_tally.so");
    file.required = false;
    Manifest::new(HOST, env!("CARGO_PKG_VERSION"))
        .about("the site itself: users, peers, bans, plugins")
        .command(CommandSpec::new("status", "The running site at a glance").words(&["status"]))
        .command(
            CommandSpec::new("user.add", "Make a local account")
                .words(&["user", "add"])
                .argument(Argument::positional("cuid", Text, "the account's name at this site").example("alice"))
                .argument(
                    Argument::option("name", Text, "the person's name, shown to partners").example("\"Alice Adams\""),
                )
                .argument(
                    Argument::option("key", Choice(vec!["p521".into(), "ed25519".into()]), "kind of the user's key")
                        .example("p521")
                        .default("p521"),
                )
                .argument(
                    Argument::option(
                        "public",
                        Json,
                        "file of the public key (JWK); the private one stays elsewhere and signatures are handed in",
                    )
                    .example("alice.jwk"),
                ),
        )
        .command(CommandSpec::new("user.list", "Local accounts").words(&["user", "list"]))
        .command(CommandSpec::new("peer.list", "Sites known, and connections to them").words(&["peer", "list"]))
        .command(
            CommandSpec::new("peer.set", "Correct what is known of a site")
                .words(&["peer", "set"])
                .argument(agent())
                .argument(
                    Argument::option("host", Text, "name or address it is reached at").example("node.example.org"),
                )
                .argument(Argument::option("port", Integer, "port it is reached at").example("65430"))
                .argument(
                    Argument::option(
                        "compat",
                        Choice(vec!["mychips-js".into(), "none".into()]),
                        "peculiarities to allow for",
                    )
                    .example("mychips-js"),
                ),
        )
        .command(CommandSpec::new("ban.list", "Addresses shut out after strikes").words(&["ban", "list"]))
        .command(
            CommandSpec::new("ban.clear", "Let an address in again")
                .words(&["ban", "clear"])
                .argument(Argument::positional("addr", Text, "the address").example("192.0.2.7")),
        )
        .command(CommandSpec::new("plugin.list", "Plugins and how they fare").words(&["plugin", "list"]))
        .command(
            CommandSpec::new("plugin.swap", "Have another build of a plugin serve, without a pause")
                .words(&["plugin", "swap"])
                .argument(plugin())
                .argument(file)
                .argument(Argument::option("migrate", Flag, "bring its tables to the build's state version"))
                .argument(
                    Argument::option(
                        "shadow",
                        Integer,
                        "try it on so many events first; it serves if it does the same",
                    )
                    .example("100"),
                )
                .wait(
                    Wait::new("plugin.shadow", "name", "state")
                        .always(["serving", "refused"])
                        .failed(["refused"])
                        .states(["serving", "refused", "shadow"]),
                ),
        )
        .command(CommandSpec::new("plugin.shadow", "How the last shadow run of a plugin stands").argument(plugin()))
        .command(
            CommandSpec::new("plugin.snapshot", "Copy the store, and record what happens next for `plugin replay`")
                .words(&["plugin", "snapshot"])
                .argument(Argument::positional("file", Text, "the file to make").example("before.db")),
        )
        .command(
            CommandSpec::new("plugin.rollback", "Have the generation before serve again")
                .words(&["plugin", "rollback"])
                .argument(plugin()),
        )
        .command(
            CommandSpec::new("plugin.stop", "Give a plugin no events; they wait until it is started")
                .words(&["plugin", "stop"])
                .argument(plugin()),
        )
        .command(
            CommandSpec::new("plugin.quarantine.list", "Events that were set aside, since their plugin failed them")
                .words(&["plugin", "quarantine", "list"])
                .argument(of_plugin()),
        )
        .command(
            CommandSpec::new("plugin.quarantine.retry", "Have their plugin try events again that were set aside")
                .words(&["plugin", "quarantine", "retry"])
                .argument(number("which [default: all]"))
                .argument(of_plugin()),
        )
        .command(
            CommandSpec::new("plugin.quarantine.drop", "Forget events that were set aside, for ever")
                .words(&["plugin", "quarantine", "drop"])
                .argument(number("which"))
                .argument(of_plugin())
                .argument(Argument::option("all", Flag, "all of them, or with --plugin all of that plugin's")),
        )
        .command(
            CommandSpec::new("plugin.quarantine.check", "What the doctor tells of events that were set aside")
                .doctor("quarantine"),
        )
        .command(
            CommandSpec::new("plugin.start", "Have a plugin serve again that was stopped or suspended")
                .words(&["plugin", "start"])
                .argument(plugin()),
        )
}
