//! What the handler says about itself: targets, tables, commands.

use crate::policy::Policy;
use crate::store;
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// The name of every referee plugin. A site has one; another takes its place and finds its rulings.
pub const NAME: &str = "referee";

/// The manifest of a referee with this policy.
pub fn manifest<P: Policy>() -> Manifest {
    let manifest = Manifest::new(NAME, P::VERSION)
        .about(P::ABOUT)
        .target(Target::new("referee", &["query", "creds"]).restricted(&["query"]).answers(&["creds"]))
        // A lift handler has this target whole, and hands over by `rule` what is for a referee; without one
        // the referee opens by itself (PROTOCOL 10.2).
        .target(
            Target::new("lift", &["commit", "check"]).restricted(&["commit", "check"]).prepared(&["commit"]).yielding(),
        )
        .tables(store::TABLES);
    for_people().into_iter().chain(for_plugins()).fold(manifest, Manifest::command)
}

fn for_people() -> Vec<CommandSpec> {
    vec![
        CommandSpec::new(
            "credentials",
            "This site's own credentials as a referee, or those of another; waits for them",
        )
        .words(&["referee", "credentials"])
        .argument(optional(chad("whose; this site's own where none is given")))
        .wait(
            Wait::new("credentials.state", "agent", "state")
                .always(["received", "unreachable"])
                .failed(["unreachable"])
                .states(["received", "unreachable", "asked"]),
        ),
        CommandSpec::new("credentials.state", "Whether credentials asked for have come")
            .argument(Argument::positional("agent", ArgumentKind::Text, "the referee's agent")),
        CommandSpec::new("serve", "Be a referee for everybody (all), or for this site's own lifts alone (own)")
            .words(&["referee", "serve"])
            .argument(Argument::positional("whom", ArgumentKind::Choice(vec!["all".into(), "own".into()]), "for whom")),
        CommandSpec::new("accept", "Accept a referee: lifts may name it from now on")
            .words(&["referee", "accept"])
            .argument(chad("which")),
        CommandSpec::new("refuse", "Accept a referee no longer")
            .words(&["referee", "refuse"])
            .argument(chad("which"))
            .invocable(),
        CommandSpec::new("list", "Referees that this site accepts, and what its own has ruled, the latest first")
            .words(&["referee", "list"])
            .argument(Argument::option("from", ArgumentKind::Text, "go on where a list before said `next`"))
            .argument(Argument::option("limit", ArgumentKind::Integer, "rulings to show, at most 1000").default("50")),
    ]
}

fn for_plugins() -> Vec<CommandSpec> {
    vec![
        CommandSpec::new("rule", "Answers lift/commit and lift/check, for a lift handler")
            .argument(Argument::positional("action", ArgumentKind::Text, "commit or check"))
            .argument(Argument::positional("object", ArgumentKind::Json, "the message's object"))
            .invocable(),
        CommandSpec::new("accepted", "Accepted referees, for a lift handler")
            .argument(Argument::option("agent", ArgumentKind::Text, "only this one"))
            .argument(Argument::option("expires", ArgumentKind::Integer, "that rule on a lift with this expiry"))
            .invocable(),
    ]
}

fn chad(help: &str) -> Argument {
    let example = "pGf4D6HfgFkxMgW9Llts1uS3nfNNmVyUtyemTUZXXh8@localhost:65440";
    Argument::positional("chad", ArgumentKind::JsonOrText, help).example(example)
}

fn optional(mut argument: Argument) -> Argument {
    argument.required = false;
    argument
}
