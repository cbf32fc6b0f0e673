//! What the handler says about itself: target, tables, commands.

use crate::{store, view};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// Actions about lifts (PROTOCOL 9.2).
const ACTIONS: [&str; 8] = ["promise", "fail", "term", "commit", "check", "status", "good", "void"];
/// What strangers may say: the public lift service (PROTOCOL 9.8), and a referee's at this site (10.2).
const PUBLIC: [&str; 6] = ["commit", "check", "term", "status", "good", "void"];

/// The manifest.
pub fn manifest() -> Manifest {
    let manifest = Manifest::new("lift", env!("CARGO_PKG_VERSION"))
        .about("Lifts with a referee (PROTOCOL 9)")
        .target(
            Target::new("lift", &ACTIONS)
                .relation_in_envelope()
                .restricted(&PUBLIC)
                .prepared(&["promise", "fail", "term", "commit"]),
        )
        .tables(store::TABLES)
        .reads(&[store::TALLIES, store::PARTNERS]);
    acts().into_iter().chain(views()).chain(for_plugins()).fold(manifest, Manifest::command)
}

fn acts() -> Vec<CommandSpec> {
    let order = Argument::positional("order", ArgumentKind::Text, "what `lift draft` has printed as `order`");
    let signature =
        Argument::option("signature", ArgumentKind::Text, "the payor's, over what it has printed as `text`");
    vec![
        payment("pay", "Pay somebody over other people's tallies").argument(life()).wait(waiting()),
        payment("draft", "Write a payment for a user who signs elsewhere; then `lift accept`"),
        CommandSpec::new("accept", "Carry out a payment that its payor has signed elsewhere")
            .words(&["lift", "accept"])
            .argument(order)
            .argument(signature.required())
            .argument(life())
            .wait(waiting()),
        CommandSpec::new("clear", "Clear debts that go round in a circle")
            .words(&["lift", "clear"])
            .argument(user("whose tallies; everybody's where not given")),
    ]
}

/// A command that says who pays whom how much.
fn payment(name: &str, about: &str) -> CommandSpec {
    CommandSpec::new(name, about)
        .words(&["lift", name])
        .argument(optional(
            Argument::positional(
                "units",
                ArgumentKind::Integer,
                "how much, in milli-CHIPs; as the invoice says where not given",
            )
            .example("12000"),
        ))
        .argument(user("who pays").required())
        .argument(
            Argument::option("to", ArgumentKind::JsonOrText, "whom: an address, or an invoice")
                .example("bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65435")
                .required(),
        )
        .argument(Argument::option("memo", ArgumentKind::Text, "what for").example("\"Rye loaf\""))
        .argument(Argument::option("ref", ArgumentKind::Json, "invoice data, any JSON").example("{\"inv\":\"A-17\"}"))
}

fn life() -> Argument {
    Argument::option("life", ArgumentKind::Duration, "how long it may take at most: from 1s to 1h").default("120s")
}

fn views() -> Vec<CommandSpec> {
    let lift = || Argument::positional("lift", ArgumentKind::Text, "the lift's uuid, or its first digits");
    vec![
        CommandSpec::new("list", "Lifts under way: who is being asked, and when next")
            .words(&["lift", "list"])
            .argument(user("only those that move value of this user"))
            .argument(Argument::option("from", ArgumentKind::Text, "go on behind the row of this `name`"))
            .argument(Argument::option("limit", ArgumentKind::Integer, "at most 1000").default("50")),
        CommandSpec::new("show", "One lift, with its core and its way through this site")
            .words(&["lift", "show"])
            .argument(lift().example("5e2d9a54")),
        CommandSpec::new("state", "The state of one lift, for --wait").argument(lift()),
    ]
}

/// What other plugins call.
fn for_plugins() -> Vec<CommandSpec> {
    vec![
        CommandSpec::new("route.told", "A wanted route has become good or failed, for a route handler")
            .argument(Argument::option("find", ArgumentKind::Json, "the destination").required())
            .argument(Argument::option("status", ArgumentKind::Text, "what it is now"))
            .invocable(),
        CommandSpec::new("ruled", "A lift's chit has come by the chain, for a chit handler")
            .argument(Argument::option("lift", ArgumentKind::Json, "the chit's ref.lift").required())
            .argument(Argument::option("sign", ArgumentKind::Text, "the chit's signature").required())
            .invocable(),
    ]
}

/// `--wait good`, or any state or stage before; a lift that has come to nothing ends the wait. Without it nobody
/// waits.
fn waiting() -> Wait {
    Wait::new("state", "lift", "wait").failed(["void"]).states(view::all_words())
}

fn user(help: &str) -> Argument {
    Argument::option("user", ArgumentKind::Text, help).example("alice")
}

fn optional(mut argument: Argument) -> Argument {
    argument.required = false;
    argument
}
