//! The chain between two halves (PROTOCOL 6), over the test kit's network.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::*;

#[test]
fn a_payment_by_either_side_is_confirmed_on_both() {
    for place in [STOCK, FOIL] {
        let mut net = chains(1);
        let chit = pay(&mut net, place);
        assert_eq!(waiting(&net, place), [("new".to_owned(), 1)]);
        net.settle();
        assert_agreed(&net);
        assert_eq!(chain_of(&net.sites[0])[0].0, chit["uuid"].as_str().unwrap());
        assert_eq!(net.take_refusals(), []);
    }
}
