//! Invoices out of band (PROTOCOL 9.9): handed out as a link or JSON, read from either, and paid over a tally
//! that payer and payee share. How they travel is none of this program's business.

use crate::{acts, manifest};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::manifest::{Argument, ArgumentKind, CommandSpec};
use tallyho_plugin::record::limits::{MAX_INTEGER, MAX_TEXT};
use tallyho_plugin::record::{Chad, Invoice};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct New {
    user: String,
    #[serde(default)]
    units: Option<i64>,
    #[serde(default)]
    memo: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
}

#[derive(Deserialize)]
struct Read {
    /// The text, or the JSON as an object.
    invoice: Value,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct Pay {
    invoice: Value,
    user: String,
    /// What is paid where the invoice names no amount, or instead of it (O-24).
    #[serde(default)]
    units: Option<i64>,
}

/// One of the user's tallies, as the tally handler lists it.
#[derive(Deserialize)]
struct Shared {
    uuid: String,
    state: String,
}

/// The commands, for the manifest.
pub fn commands() -> Vec<CommandSpec> {
    let text = || {
        Argument::positional("invoice", ArgumentKind::Text, "the invoice: link or JSON")
            .example("'https://mychips.org/pay?chad=bob:AGENT&units=12000'")
    };
    let user = |help: &str| Argument::option("user", ArgumentKind::Text, help).example("alice");
    let units = |argument: Argument| argument.example("12000");
    let mut asked =
        Argument::positional("units", ArgumentKind::Integer, "how much, in milli-CHIPs; any where not given");
    asked.required = false;
    vec![
        CommandSpec::new("invoice.new", "Ask to be paid, by a link that you hand over yourself")
            .words(&["invoice", "new"])
            .argument(units(asked))
            .argument(user("who is to be paid").required())
            .argument(Argument::option("memo", ArgumentKind::Text, "what for").example("\"Rye loaf\""))
            .argument(Argument::option("ref", ArgumentKind::Json, "your own reference").example("{\"inv\":17}")),
        CommandSpec::new("invoice.show", "What an invoice asks for, and by which tallies it can be paid")
            .words(&["invoice", "show"])
            .argument(text())
            .argument(user("by whose tallies")),
        CommandSpec::new("invoice.pay", "Pay an invoice over a tally with the payee")
            .words(&["invoice", "pay"])
            .argument(text())
            .argument(user("who pays").required())
            .argument(units(Argument::option(
                "units",
                ArgumentKind::Integer,
                "how much, in milli-CHIPs, where the invoice does not say or you pay another amount",
            )))
            .wait(manifest::waiting()),
    ]
}

/// `invoice.new {user, units?, memo?, ref?}`: `{link, json, chad, units?, memo?, ref?}`. Nothing is stored: an
/// invoice is a text.
///
/// # Errors
/// `NotFound` where there is no such user; `Usage` for an amount that is none; `too-large`.
pub fn new(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let New { user, units, memo, reference } = command.arguments()?;
    context.user(&user)?;
    if let Some(units) = units {
        check(units)?;
    }
    let site = context.site()?;
    let chad = Chad { cuid: Some(user), agent: site.agent, host: Some(site.host), port: Some(site.port) };
    let invoice =
        Invoice { units, memo, reference: reference.filter(|value| !value.is_null()), ..Invoice::decal(chad) };
    let (link, json) = (invoice.to_link(), invoice.to_json());
    let bytes = link.len().max(json.to_string().len());
    if bytes > MAX_TEXT {
        return Err(Fault::refused(format!("the invoice would have {bytes} bytes, at most {MAX_TEXT} are read"))
            .code("too-large")
            .fix("shorten --memo or --ref"));
    }
    let mut answer = json["pay"].clone();
    answer["link"] = link.into();
    answer["json"] = json;
    Ok(answer)
}

/// `invoice.show {invoice, user?}`: what the invoice says, `{chad, units?, date?, ref?, memo?, hint?}`, and with
/// `user` the `tallies` by which that user could pay it.
///
/// # Errors
/// `Usage` where the text is no invoice, saying what it is.
pub fn show(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Read { invoice, user } = command.arguments()?;
    let invoice = read(&invoice)?;
    let mut shown = invoice.to_json()["pay"].take();
    if let Some(user) = user {
        let open = shared(context, &user, &invoice.chad)?.into_iter().filter(is_open);
        shown["tallies"] = open.map(|tally| json!({ "uuid": tally.uuid, "state": tally.state })).collect();
    }
    Ok(shown)
}

/// `invoice.pay {invoice, user, units?}`: pays over the one open tally that the user has with the payee;
/// answers as `pay` does.
///
/// # Errors
/// `Usage` where the text is no invoice or no amount is named; code `no-tally` or `several-tallies`; those of
/// a payment.
pub fn pay(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Pay { invoice, user, units } = command.arguments()?;
    let invoice = read(&invoice)?;
    let Some(units) = units.or(invoice.units) else {
        return Err(Fault::usage("the invoice names no amount").code("units").fix("say how much with --units NUMBER"));
    };
    check(units)?;
    let (open, other): (Vec<Shared>, Vec<Shared>) =
        shared(context, &user, &invoice.chad)?.into_iter().partition(is_open);
    let tally = match open.as_slice() {
        [tally] => tally.uuid.clone(),
        [] => return Err(no_tally(&user, &invoice.chad, &other)),
        several => return Err(which_tally(&user, &invoice.chad, several, units)),
    };
    acts::pay_as(context, &user, &tally, units, invoice.memo, invoice.reference)
}

fn read(invoice: &Value) -> Result<Invoice, Fault> {
    let text = match invoice {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Invoice::read(&text)
        .map_err(|error| Fault::usage(error.to_string()).code("invoice").fix("paste it whole, in quotes"))
}

fn check(units: i64) -> Result<(), Fault> {
    match (1..=MAX_INTEGER).contains(&units) {
        true => Ok(()),
        false => Err(Fault::usage(format!("units: {units} is no amount"))
            .code("units")
            .fix("give a whole number of milli-CHIPs from 1 to 9007199254740991, for example 12000")),
    }
}

fn shared(context: &mut Context<'_>, user: &str, payee: &Chad) -> Result<Vec<Shared>, Fault> {
    context.invoke("tally", "shared", &json!({ "user": user, "partner": payee }))
}

/// Whether chits can be made on it (PROTOCOL 5.3).
fn is_open(tally: &Shared) -> bool {
    matches!(tally.state.as_str(), "open" | "C.open" | "open.open")
}

fn no_tally(user: &str, payee: &Chad, other: &[Shared]) -> Fault {
    let fault = Fault::refused(format!("{user} has no open tally with {payee}")).code("no-tally");
    match other {
        [] => fault.fix(
            "open one with the payee by a ticket (`tallyho ticket new`, `tallyho ticket use`), \
             or pay over other people's tallies with `tallyho lift pay`",
        ),
        [one, ..] => fault.fix(format!("tally {} is in state {}; see `tallyho tally list`", one.uuid, one.state)),
    }
}

fn which_tally(user: &str, payee: &Chad, several: &[Shared], units: i64) -> Fault {
    let uuids: Vec<&str> = several.iter().map(|tally| tally.uuid.as_str()).collect();
    Fault::refused(format!("{user} has {} open tallies with {payee}: {}", uuids.len(), uuids.join(", ")))
        .code("several-tallies")
        .fix(format!("choose one: `tallyho chit pay TALLY {units} --user {user}`"))
}
