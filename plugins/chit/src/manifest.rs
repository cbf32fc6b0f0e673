//! What the handler says about itself: targets, tables, commands.

use crate::state::State;
use crate::{invoices, limits, store, view};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// The manifest.
pub fn manifest() -> Manifest {
    let manifest = Manifest::new("chit", env!("CARGO_PKG_VERSION"))
        .about("Chits and their chain (PROTOCOL 5, 6 and 7.2)")
        .target(
            Target::new("chit", &["pend", "void", "good", "chain"])
                .relation_in_object("tally")
                .prepared(&["good", "chain"]),
        )
        .tables(store::TABLES)
        .reads(&[store::TALLIES, store::LIFTS]);
    let mut commands = [acts(), drafts(), views(), invoices::commands(), services()].concat();
    for command in &mut commands {
        // Positional ones first, as a manifest has them.
        command.arguments.sort_by_key(|argument| !argument.positional);
    }
    commands.into_iter().fold(manifest, Manifest::command)
}

fn acts() -> Vec<CommandSpec> {
    let on_chit = |name: &str, help: &str| on_chit(name, help).words(&["chit", name]).wait(waiting());
    vec![
        on_tally("pay", "Pay the partner: sign a pledge")
            .words(&["chit", "pay"])
            .argument(units())
            .argument(memo())
            .argument(reference())
            .wait(waiting()),
        on_tally("ask", "Ask the partner for a payment: send an invoice")
            .words(&["chit", "ask"])
            .argument(units())
            .argument(memo())
            .argument(reference())
            .argument(option("again", ArgumentKind::Text, "the refused invoice that is asked for anew", "3f0f7c52"))
            .wait(waiting()),
        on_chit("accept", "Sign an invoice of the partner's, or a draft, as it stands").argument(signature()),
        on_chit("refuse", "Refuse an invoice of the partner's, or drop a draft"),
        on_tally("set", "Change your settings on a tally")
            .words(&["chit", "set"])
            .argument(
                Argument::positional("settings", ArgumentKind::Json, "target, bound, reward, clutch, or anything")
                    .example("{\"target\":10000,\"bound\":50000}"),
            )
            .argument(memo())
            .wait(waiting()),
        on_chit("resend", "Send again what the partner may not have got"),
        on_tally("mend", "Let the two halves talk again once you and your partner have settled what was in the way")
            .words(&["chit", "mend"]),
        CommandSpec::new("check.all", "Look at all records of all tallies again, for the doctor")
            .argument(Argument::option("from", ArgumentKind::Json, "`next` of the last answer"))
            .doctor("chits"),
        on_tally("check", "Look at all records of a tally again, a page at a time").words(&["chit", "check"]).argument(
            Argument::option("from", ArgumentKind::Text, "go on behind an earlier page: `next` of its answer"),
        ),
    ]
}

fn drafts() -> Vec<CommandSpec> {
    vec![
        on_tally("draft", "Write a payment or settings for a user who signs elsewhere; then `chit accept`")
            .words(&["chit", "draft"])
            .argument(optional_units())
            .argument(option("set", ArgumentKind::Json, "settings instead of a payment", "{\"close\":true}"))
            .argument(memo())
            .argument(reference()),
        on_chit("text", "The text a user signs to pay an invoice, or a draft").words(&["chit", "text"]),
    ]
}

fn views() -> Vec<CommandSpec> {
    let page = format!(
        "at most this many links, from 1 to {most}; {most} if not given, fewer where texts are long",
        most = limits::LISTED
    );
    vec![
        on_tally("list", "Chits of a tally by their place in its chain, the newest page; then those without a place")
            .words(&["chit", "list"])
            .argument(option("from", ArgumentKind::Integer, "links from this index on instead", "1"))
            .argument(option("limit", ArgumentKind::Integer, &page, "100")),
        on_chit("show", "One chit, with its record").words(&["chit", "show"]),
        CommandSpec::new("state", "The state of one chit, for --wait and for lifts")
            .argument(Argument::positional("chit", ArgumentKind::Text, "the chit, as HOLDER/TALLY/UUID"))
            .invocable(),
    ]
}

/// What other plugins call.
fn services() -> Vec<CommandSpec> {
    let json = |name: &str, help: &str| Argument::option(name, ArgumentKind::Json, help).required();
    let text = |name: &str, help: &str| Argument::option(name, ArgumentKind::Text, help).required();
    let items = || json("items", "the halves: [{user, tally, by}]");
    vec![
        CommandSpec::new("close", "Close a tally by a setting, for `tally close`")
            .argument(Argument::positional("tally", ArgumentKind::Text, "the tally"))
            .argument(user())
            .argument(signature())
            .invocable(),
        CommandSpec::new("capacity", "What lifts may move over a tally, in both directions")
            .argument(Argument::positional("tally", ArgumentKind::Text, "the tally"))
            .argument(user().required())
            .invocable(),
        CommandSpec::new("lift.reserve", "Reserve for a lift on all these halves, or on none")
            .argument(text("lift", "the lift's uuid"))
            .argument(text("date", "the lift's date"))
            .argument(Argument::option("units", ArgumentKind::Integer, "milli-CHIPs").required())
            .argument(items())
            .invocable(),
        CommandSpec::new("lift.complete", "Make a lift's reservations good, all or none")
            .argument(json("lift", "the lift's core"))
            .argument(text("sign", "the referee's ruling"))
            .argument(json("items", "the halves: [{user, tally, by, pledge}]"))
            .invocable(),
        CommandSpec::new("lift.void", "Give a lift's reservations back, all or none")
            .argument(text("lift", "the lift's uuid"))
            .argument(json("items", "the halves: [{user, tally}]"))
            .invocable(),
    ]
}

/// `--wait` asks for the chit that the act answered with, until the word is among those true of it.
pub(crate) fn waiting() -> Wait {
    // Of a lift's reservations the same codes are told as of other chits.
    let codes = State::ALL.into_iter().map(State::code).filter(|code| code.contains('.'));
    Wait::new("state", "chit", "wait").states(view::WORDS.into_iter().chain(codes))
}

/// A command about a tally; behind its positional argument others may follow.
fn on_tally(name: &str, help: &str) -> CommandSpec {
    let tally = Argument::positional("tally", ArgumentKind::Text, "the tally's uuid, or its first digits");
    CommandSpec::new(name, help).argument(tally.example("9b8f6c1e")).argument(user())
}

fn on_chit(name: &str, help: &str) -> CommandSpec {
    let uuid = Argument::positional("uuid", ArgumentKind::Text, "the chit's uuid, or its last digits");
    on_tally(name, help).argument(uuid.example("3f0f7c52"))
}

fn units() -> Argument {
    Argument::positional("units", ArgumentKind::Integer, "milli-CHIPs, from 1").example("1234500")
}

fn optional_units() -> Argument {
    let mut units = units();
    units.required = false;
    units
}

fn user() -> Argument {
    option("user", ArgumentKind::Text, "whose half, where both belong to users of this site", "alice")
}

fn memo() -> Argument {
    option("memo", ArgumentKind::Text, "what for", "Rye loaf")
}

fn reference() -> Argument {
    option("ref", ArgumentKind::Json, "invoice data, any JSON", "{\"inv\":\"A-17\"}")
}

fn signature() -> Argument {
    let help = "the user's signature over what `chit text` or `chit draft` prints, where the key is kept elsewhere";
    Argument::option("signature", ArgumentKind::Text, help)
}

fn option(name: &str, kind: ArgumentKind, help: &str, example: &str) -> Argument {
    Argument::option(name, kind, help).example(example)
}
