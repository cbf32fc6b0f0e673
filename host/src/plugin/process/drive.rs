//! The host's side of one call of a plugin's process: it is told what to do, its calls of the host are answered, and
//! its answer is taken. Nothing that comes from there is trusted.

use super::channel::{Broken, Channel};
use super::words::{Parts, ask, effect, order, word};
use crate::plugin::limits::{MAX_ANSWER_BYTES, MAX_FRAME, MAX_RANDOM};
use std::time::{Duration, Instant};
use tallyho_plugin::abi_adapt::{fault_bytes, fault_from, rows_to_bytes};
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{LogLevel, Services};
use tallyho_plugin::{Fault, FaultKind};

/// What is left of a frame beside its longest part.
const SLACK: usize = 1 << 10;

/// Bytes of a call or an answer that still fit a frame.
pub const MOST: usize = MAX_FRAME - SLACK;

/// Makes a call and waits for its end; without services none may be asked for. The deadline holds for what the process
/// does and has done for itself, not for other plugins that it invokes.
///
/// # Errors
/// [`Broken`]: the process can be used no more. Inside: the handler's fault.
pub fn call(
    channel: &mut Channel,
    deadline: Duration,
    mut services: Option<&mut dyn Services>,
    order: impl FnOnce(&mut Vec<u8>),
) -> Result<Result<Vec<u8>, Fault>, Broken> {
    let mut left = deadline;
    // The first effect that was refused: the event has that fault whatever its handler makes of it.
    let mut spoilt = None;
    channel.send(Some(Instant::now() + left), order)?;
    loop {
        let begun = Instant::now();
        channel.receive(Some(begun + left))?;
        let mut frame = Parts(channel.frame());
        let word = frame.byte()?;
        let mut effects = Parts(frame.part()?);
        match &mut services {
            Some(services) if spoilt.is_none() => spoilt = apply(&mut effects, &mut **services)?,
            Some(_) => {}
            None => effects.end()?,
        }
        let result = match word {
            word::DONE if frame.0.len() > MAX_ANSWER_BYTES => {
                let text = format!("the answer has {} bytes, expected at most {MAX_ANSWER_BYTES}", frame.0.len());
                Err(Fault::failed(text).code("too-large"))
            }
            word::DONE => Ok(frame.0.to_vec()),
            word::FAULT => Err(own_fault(frame.0)),
            word::ASK => {
                let Some(services) = &mut services else {
                    return Err(Broken::Bad("it asks the host for something while it names checks".to_owned()));
                };
                let asked = frame.byte()?;
                let answer = match &spoilt {
                    Some(fault) => Err(Fault::clone(fault)),
                    None if asked == ask::INVOKE => {
                        left = left.checked_sub(begun.elapsed()).ok_or(Broken::Late)?;
                        let answer = answer(asked, frame, &mut **services)?;
                        reply(channel, left, answer)?;
                        continue;
                    }
                    None => answer(asked, frame, &mut **services)?,
                };
                left = left.checked_sub(begun.elapsed()).ok_or(Broken::Late)?;
                reply(channel, left, answer)?;
                continue;
            }
            other => return Err(Broken::Bad(format!("it says {other}, which means nothing here"))),
        };
        return Ok(match spoilt {
            Some(fault) => Err(fault),
            None => result,
        });
    }
}

fn reply(channel: &mut Channel, left: Duration, answer: Result<Vec<u8>, Fault>) -> Result<(), Broken> {
    let answer = match answer {
        Ok(bytes) if bytes.len() > MOST => {
            let text = format!("what was asked for has {} bytes, expected at most {MOST}", bytes.len());
            Err(Fault::failed(text).code("too-large").fix("ask for fewer rows at once"))
        }
        other => other,
    };
    channel.send(Some(Instant::now() + left), |out| match &answer {
        Ok(bytes) => {
            out.push(order::ANSWER);
            out.extend_from_slice(bytes);
        }
        Err(fault) => {
            out.push(order::FAULT);
            out.extend_from_slice(&fault_bytes(fault));
        }
    })
}

/// A fault of the handler's; bytes that are none are one too.
fn own_fault(bytes: &[u8]) -> Fault {
    fault_from(bytes, Fault::failed)
}

/// Carries out what the handler has done and not waited for; the fault of the first that is refused.
fn apply(effects: &mut Parts<'_>, services: &mut dyn Services) -> Result<Option<Fault>, Broken> {
    while !effects.0.is_empty() {
        let done = match effects.byte()? {
            effect::PUT => services.put(effects.text()?, effects.part()?, effects.part()?),
            effect::DELETE => services.delete(effects.text()?, effects.part()?),
            effect::SET_TIMER => services.set_timer(effects.text()?, Timestamp(effects.number()?)),
            effect::CANCEL_TIMER => services.cancel_timer(effects.text()?),
            effect::NOTICE => services.notice(effects.text()?, &effects.cbor()?),
            effect::LOG => {
                let level = match effects.byte()? {
                    1 => LogLevel::Error,
                    2 => LogLevel::Warn,
                    3 => LogLevel::Info,
                    _ => LogLevel::Debug,
                };
                services.log(level, effects.text()?);
                Ok(())
            }
            effect::METRIC => {
                services.metric(effects.text()?, effects.number()?);
                Ok(())
            }
            other => return Err(Broken::Bad(format!("effect {other} means nothing here"))),
        };
        if let Err(fault) = done {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

/// Answers one call of the host.
fn answer(asked: u8, mut parts: Parts<'_>, services: &mut dyn Services) -> Result<Result<Vec<u8>, Fault>, Broken> {
    let agent = |text: &str| AgentId(text.to_owned());
    let nothing = |()| Vec::new();
    Ok(match asked {
        ask::GET => {
            let found = services.get(parts.text()?, parts.part()?);
            found.map(|row| {
                row.map_or_else(
                    || vec![0],
                    |mut row| {
                        row.insert(0, 1);
                        row
                    },
                )
            })
        }
        ask::SCAN => {
            let found = services.scan(parts.text()?, &parts.cbor()?);
            found.and_then(|rows| rows_to_bytes(&rows))
        }
        ask::SEND => services.send(&parts.cbor()?).map(nothing),
        ask::WITHDRAW => services.withdraw(&agent(parts.text()?), parts.text()?).map(|was| vec![was.into()]),
        ask::INVOKE => services.invoke(parts.text()?, parts.text()?, parts.part()?),
        ask::VERIFY => Ok(vec![services.verify(&parts.cbor()?).into()]),
        ask::SIGN_AGENT => services.sign_agent(parts.part()?),
        ask::SIGN_USER => services.sign_user(parts.text()?, parts.part()?),
        ask::RANDOM => {
            let length = parts.number()?;
            let length = usize::try_from(length).ok().filter(|length| *length <= MAX_RANDOM);
            let length = length.ok_or_else(|| Broken::Bad(format!("more than {MAX_RANDOM} random bytes at once")))?;
            let mut bytes = vec![0; length];
            services.random(&mut bytes);
            Ok(bytes)
        }
        ask::RELATE => services.relate(&parts.cbor()?).map(nothing),
        ask::UNRELATE => services.unrelate(parts.text()?, parts.text()?, &agent(parts.text()?)).map(nothing),
        ask::EFFECTS => Ok(Vec::new()),
        other => return Err(Broken::Bad(format!("call {other} means nothing here"))),
    })
}

/// The fault of an event whose process broke the channel's rules.
pub fn rules_broken(what: &str) -> Fault {
    Fault::new(FaultKind::Failed, format!("its process broke off: {what}")).code("process")
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
