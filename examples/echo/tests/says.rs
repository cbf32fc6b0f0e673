//! What the echo promises, tried on a site in memory.

use tallyho_echo::Echo;
use tallyho_plugin::prelude::*;
use tallyho_plugin::testkit::{Envelope, Site};

#[test]
fn what_is_said_comes_back_to_whoever_said_it() -> Result<(), Fault> {
    let mut site = Site::new(1).with::<Echo>().user("alice");
    let (agent, alice) = (site.address(), site.chad("alice"));
    let words = json!({ "words": "hello" });

    site.deliver(&Envelope::new(&agent, &alice, "echo/say", &words))?;

    let sent = site.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].verb(), sent[0].object()), ("echo/said".to_owned(), words.clone()));
    assert_eq!(site.command("say", words.clone())?, words);
    Ok(())
}
