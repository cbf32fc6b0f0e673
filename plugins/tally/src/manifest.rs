//! What the handler says about itself: targets, tables, commands.

use crate::half::Half;
use crate::{chits, store};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// The manifest.
pub fn manifest() -> Manifest {
    let manifest = Manifest::new("tally", env!("CARGO_PKG_VERSION"))
        .about("Tickets, and tallies from draft to close (PROTOCOL 2 and 4)")
        .target(
            Target::new("tally", &["ticket", "offer", "draft", "void", "open"])
                .relation_in_object("uuid")
                .unrelated(&["ticket", "offer", "open"])
                .prepared(&["offer", "open"]),
        )
        .tables(store::TABLES)
        .reads(chits::READS);
    commands().into_iter().fold(manifest, Manifest::command)
}

fn commands() -> Vec<CommandSpec> {
    let mut all = tickets();
    all.extend(tallies());
    all.extend([
        CommandSpec::new("state", "The state of one half, for --wait").argument(Argument::positional(
            "half",
            ArgumentKind::Text,
            "the half, as HOLDER/UUID",
        )),
        on_tally("get", "Everything about one half, for other plugins", &[]).invocable(),
        CommandSpec::new("shared", "A user's tallies with one partner, for other plugins")
            .argument(user("the user").required())
            .argument(Argument::option("partner", ArgumentKind::Json, "the partner's address").required())
            .invocable(),
        on_tally("confirm", "Index 0 of the chain is acknowledged, for a chit handler", &[])
            .argument(Argument::option("hash", ArgumentKind::Text, "the hash acknowledged").required())
            .invocable(),
        on_tally("chain", "What the chain of chits means for a tally, for a chit handler", &[])
            .argument(
                Argument::option(
                    "event",
                    ArgumentKind::Choice(words(&["closing", "settled", "reopened"])),
                    "what it is",
                )
                .required(),
            )
            .invocable(),
    ]);
    all
}

fn tickets() -> Vec<CommandSpec> {
    let token = || Argument::positional("token", ArgumentKind::Text, "the ticket's token");
    vec![
        CommandSpec::new("ticket.new", "Draft a tally and make a ticket that leads to it")
            .words(&["ticket", "new"])
            .argument(user("the user who issues it; not needed with --tally"))
            .argument(side())
            .argument(option("expires", ArgumentKind::Duration, "how long it may be used; 48h unless --reuse", "48h"))
            .argument(Argument::option("reuse", ArgumentKind::Flag, "a decal: any number of partners, a tally each"))
            .argument(option("limit", ArgumentKind::JsonOrText, "only this party may use it", "bob:AGENT"))
            .argument(terms())
            .argument(partner_terms())
            .argument(memo())
            .argument(agree())
            .argument(Argument::option("tally", ArgumentKind::Text, "a further ticket for this draft")),
        CommandSpec::new("ticket.use", "Present a ticket; waits for the answer")
            .words(&["ticket", "use"])
            .argument(
                Argument::positional("ticket", ArgumentKind::JsonOrText, "the ticket: link, URI or JSON")
                    .example("chip://alice:AGENT@HOST:PORT?token=TOKEN"),
            )
            .argument(user("the user who uses it").required())
            .wait(
                Wait::new("ticket.status", "presented", "state")
                    .always(["accepted", "refused", "unreachable"])
                    .failed(["refused", "unreachable"])
                    .states(["accepted", "refused", "unreachable", "pending"]),
            ),
        CommandSpec::new("ticket.status", "What became of a ticket presented")
            .argument(token())
            .argument(user("which user's, where several have presented it")),
        CommandSpec::new("ticket.list", "Tickets issued and tickets presented")
            .words(&["ticket", "list"])
            .argument(user("only this user's")),
        CommandSpec::new("ticket.revoke", "Make a ticket unusable").words(&["ticket", "revoke"]).argument(token()),
    ]
}

fn tallies() -> Vec<CommandSpec> {
    let signature = || {
        let help = "the user's signature over what `tally text` prints, where the key is kept elsewhere";
        Argument::option("signature", ArgumentKind::Text, help)
    };
    let act = |name: &str, help: &str| on_tally(name, help, &["tally", name]).wait(waiting());
    vec![
        CommandSpec::new("list", "Tallies of this site").words(&["tally", "list"]).argument(user("only this user's")),
        on_tally("show", "One tally, with its record", &["tally", "show"]),
        on_tally("text", "The text a user signs to offer or accept", &["tally", "text"]),
        act("edit", "Change a draft")
            .argument(side())
            .argument(memo())
            .argument(agree())
            .argument(terms())
            .argument(partner_terms())
            .argument(option(
                "new-uuid",
                ArgumentKind::Text,
                "another uuid, before the first offer",
                "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55",
            )),
        act("offer", "Sign a draft and offer it to the partner").argument(signature()),
        act("accept", "Sign the partner's offer: the tally is open").argument(signature()),
        act("revise", "Take the partner's offer back for redrafting, then edit and offer"),
        act("refuse", "Refuse the partner's offer"),
        act("withdraw", "Withdraw your offer"),
        act("close", "Close a tally: at once where nothing is owed, else when the balance has come to zero").argument(
            Argument::option(
                "signature",
                ArgumentKind::Text,
                "the user's signature over the setting that closes it, where the key is kept elsewhere",
            ),
        ),
        act("resend", "Send again what the partner may not have got"),
        on_tally("delete", "Delete a draft and its tickets", &["tally", "delete"]),
        CommandSpec::new("settings", "Show or change what holds for all tallies of this site")
            .words(&["tally", "settings"])
            .argument(Argument::option(
                "recovery",
                ArgumentKind::Choice(words(&["on", "off"])),
                "whether a partner may give back a tally that this site has lost",
            ))
            .argument(option(
                "agree",
                ArgumentKind::JsonOrText,
                "agreement of drafts that name none",
                "{\"host\":\"mychips.org\"}",
            )),
    ]
}

/// `--wait` asks for the half that the act answered with, until the word is among those true of it.
fn waiting() -> Wait {
    Wait::new("state", "half", "wait").states(Half::all_words())
}

fn on_tally(name: &str, help: &str, path: &[&str]) -> CommandSpec {
    let uuid = Argument::positional("uuid", ArgumentKind::Text, "the tally's uuid, or its first digits");
    CommandSpec::new(name, help)
        .words(path)
        .argument(uuid.example("9b8f6c1e"))
        .argument(user("whose half, where both belong to users of this site"))
}

fn user(help: &str) -> Argument {
    option("user", ArgumentKind::Text, help, "alice")
}

fn side() -> Argument {
    let sides = ArgumentKind::Choice(words(&["stock", "foil"]));
    option("side", sides, "the user's side: stock sells or lends (default), foil buys or borrows", "stock")
}

fn memo() -> Argument {
    option("memo", ArgumentKind::Text, "what it is about", "Bread account")
}

fn agree() -> Argument {
    option("agree", ArgumentKind::JsonOrText, "the contract: its id, or an object", "{\"host\":\"mychips.org\"}")
}

fn terms() -> Argument {
    option("terms", ArgumentKind::Json, "credit terms the user grants", "{\"limit\":100000}")
}

fn partner_terms() -> Argument {
    option("partner-terms", ArgumentKind::Json, "credit terms the user asks for", "{\"limit\":50000}")
}

fn option(name: &str, kind: ArgumentKind, help: &str, example: &str) -> Argument {
    Argument::option(name, kind, help).example(example)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
