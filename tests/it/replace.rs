//! Replacing a push: `all`, `pending-only`, and who keeps what (docs/ledger.md, rules 18 and 19).

use serde_json::{Value, json};

use crate::common::http::{Client, Pap};
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, now_seconds, wait_for};

fn replacing(new: &str, old: &str, method: &str) -> Pap {
    Pap::new(new)
        .to("group:news")
        .text(new)
        .delivery("confirmed")
        .attribute("replace-push-id", old)
        .attribute("replace-method", method)
}

fn code(http: &Client, pap: &Pap) -> u16 {
    http.pap(pap).pap_code()
}

fn connect(gateway: &Gateway, user: &str) -> Raw {
    Raw::connect(gateway.mqtt, &Connect::v3(user, user))
}

fn recipients(http: &Client, push_id: &str) -> Vec<(String, String, String)> {
    let page = http.get(&format!("/api/v1/pushes/{push_id}/recipients")).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = page["recipients"].as_array().unwrap();
    list.iter().map(|one| (text(&one["user"]), text(&one["state"]), text(&one["desc"]))).collect()
}

#[test]
fn all_takes_the_old_one_back_and_submits_the_new_one_for_everybody() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut alice = connect(&gateway, "alice");
    alice.join("news");
    http.bind("news", "bob");
    http.push("old", "group:news", "old");
    assert_eq!(alice.push().text(), "old");
    alice.ping();
    assert_eq!(code(&http, &replacing("new", "old", "all")), 1001);
    http.wait_outcome("old", "cancelled", "1 of 2");
    assert_eq!(alice.push().text(), "new", "who has the old one gets the new one too");
    let mut bob = connect(&gateway, "bob");
    assert_eq!(bob.push().text(), "new", "the old one is gone");
    bob.assert_silent();
    http.wait_outcome("new", "delivered", "2 of 2");
    assert_eq!(code(&http, &replacing("newer", "never", "all")), 1001, "there was nothing to take back");
}

#[test]
fn all_said_that_a_push_was_cancelled_which_its_terminal_had_already() {
    let initiator = Initiator::start();
    let gateway = Gateway::start_with("[notify]\nallow_private = true\n", &[]);
    let http = gateway.http();
    let mut alice = connect(&gateway, "alice");
    alice.join("news");
    let old = Pap::new("old").to("user:alice").attribute("ppg-notify-requested-to", &initiator.url);
    assert_eq!(code(&http, &old), 1001);
    let under_way = alice.publish_in();
    let new = |id: &str, of: &str| Pap::new(id).to("user:alice").text(id).attribute("replace-push-id", of);
    assert_eq!(code(&http, &new("new", "old")), 1001);
    http.wait_outcome("old", "pending", "0 of 1");
    let second = alice.publish_in();
    assert_eq!(second.text(), "new", "everybody gets the new one");
    alice.puback(under_way.id);
    http.wait_outcome("old", "delivered", "1 of 1");
    assert!(initiator.next().body.contains("message-state=\"delivered\""));
    alice.puback(second.id);
    http.wait_outcome("new", "delivered", "1 of 1");
    // Of a group, those keep it to whom it is under way, also over another connection; the others do not get it.
    http.bind("news", "bob");
    http.push("shared", "group:news", "shared");
    assert_eq!(alice.publish_in().text(), "shared");
    assert_eq!(code(&http, &replacing("instead", "shared", "all")), 1001);
    http.wait_outcome("shared", "cancelled", "0 of 2");
    drop(alice);
    let mut bob = connect(&gateway, "bob");
    assert_eq!(bob.push().text(), "instead");
    bob.assert_silent();
}

#[test]
fn rule_19_pending_only_reaches_those_who_have_not_got_the_old_one() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut got = connect(&gateway, "got");
    got.join("news");
    let mut holds = connect(&gateway, "holds");
    holds.join("news");
    let mut refuses = Raw::connect(gateway.mqtt, &Connect::v5("refuses", "refuses"));
    refuses.join("news");
    http.bind("news", "away");
    http.push("old", "group:news", "old");
    assert_eq!(got.push().text(), "old");
    let under_way = holds.publish_in();
    assert_eq!(under_way.text(), "old");
    let refused = refuses.publish_in();
    refuses.puback_reason(refused.id, 0x99);
    http.wait_outcome("old", "pending", "1 of 4, 1 refused");
    http.bind("news", "newcomer");

    assert_eq!(code(&http, &replacing("new", "old", "pending-only")), 1001);
    http.wait_outcome("old", "cancelled", "1 of 4, 1 refused");
    for user in ["away", "newcomer"] {
        let mut terminal = connect(&gateway, user);
        assert_eq!(terminal.push().text(), "new");
        terminal.assert_silent();
    }
    http.wait_outcome("new", "delivered", "2 of 2");
    got.assert_silent();
    refuses.assert_silent();
    // The holder may take its time; what it says then moves no counter any more.
    holds.puback(under_way.id);
    holds.assert_silent();
    http.push("next", "group:news", "next");
    for terminal in [&mut got, &mut holds, &mut refuses] {
        assert_eq!(terminal.push().text(), "next");
    }
    assert_eq!(http.outcome("old")["desc"], "1 of 4, 1 refused");
    let both: Vec<Vec<String>> = ["old", "new"]
        .map(|id| recipients(&http, id).into_iter().map(|(user, state, _)| format!("{user} {state}")).collect())
        .into();
    assert_eq!(both[0], ["got delivered", "holds cancelled", "refuses aborted", "away cancelled"]);
    assert_eq!(both[1], ["away delivered", "newcomer delivered"]);
}

#[test]
fn rule_19_a_holder_whose_connection_breaks_still_gets_the_one_it_holds() {
    let mut gateway = Gateway::start();
    let http = gateway.http();
    let mut holds = connect(&gateway, "holds");
    holds.join("news");
    http.bind("news", "away");
    http.push("old", "group:news", "old");
    assert_eq!(holds.publish_in().text(), "old");
    assert_eq!(code(&http, &replacing("new", "old", "pending-only")), 1001);
    drop(holds);
    let mut holds = connect(&gateway, "holds");
    assert_eq!(holds.publish_in().text(), "old");
    drop(holds);
    gateway.kill();
    gateway.restart();
    let mut holds = connect(&gateway, "holds");
    assert_eq!(holds.push().text(), "old", "also after a crash");
    holds.assert_silent();
    let mut away = connect(&gateway, "away");
    assert_eq!(away.push().text(), "new");
    gateway.http().wait_outcome("new", "delivered", "1 of 1");
    gateway.http().wait_outcome("old", "cancelled", "0 of 2");
    let held = recipients(&gateway.http(), "old").remove(0);
    assert_eq!(held.2, "acknowledged after it was over");
    drop(holds);
    connect(&gateway, "holds").assert_silent();
}

/// Its session goes on, and it may have got the push: only its answer is missing.
#[test]
fn a_terminal_whose_connection_broke_before_it_answered_got_both_pushes() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut lasting = Connect::v3("lasting", "lasting");
    lasting.clean = false;
    let mut terminal = Raw::connect(gateway.mqtt, &lasting);
    terminal.join("news");
    http.bind("news", "away");
    http.push("old", "group:news", "old");
    let first = terminal.publish_in();
    assert_eq!(first.text(), "old");
    drop(terminal);
    wait_for("the connection to be gone", || {
        let user = http.get("/api/v1/users/lasting").json();
        user["connections"].as_array().is_none_or(Vec::is_empty).then_some(())
    });
    assert_eq!(code(&http, &replacing("new", "old", "pending-only")), 1001);
    http.wait_outcome("new", "pending", "0 of 1");
    let mut terminal = Raw::connect(gateway.mqtt, &lasting);
    let again = terminal.publish_in();
    assert_eq!((again.text(), again.id, again.dup), ("old", first.id, true));
    terminal.puback(again.id);
    terminal.assert_silent();
    assert_eq!(connect(&gateway, "away").push().text(), "new");
}

#[test]
fn who_left_or_joined_again_is_counted_right_when_a_push_is_replaced() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let unbind = |user: &str| http.json("DELETE", &format!("/api/v1/groups/news/members/{user}"), Value::Null);
    for user in ["stays", "leaves", "returns"] {
        let mut terminal = connect(&gateway, user);
        terminal.join("news");
    }
    http.bind("news", "away");
    http.push("old", "group:news", "old");
    for user in ["stays", "leaves", "returns"] {
        let mut terminal = connect(&gateway, user);
        assert_eq!(terminal.push().text(), "old");
        terminal.ping();
    }
    http.wait_outcome("old", "pending", "3 of 4");
    unbind("leaves");
    unbind("returns");
    http.bind("news", "returns");
    assert_eq!(code(&http, &replacing("new", "old", "pending-only")), 1001);
    http.wait_outcome("new", "pending", "0 of 1");
    assert_eq!(recipients(&http, "new").len(), 1, "only who was away");
    // Somebody who is not concerned leaves: nothing of the new push is gone with it.
    unbind("stays");
    http.wait_outcome("new", "pending", "0 of 1");
    // A chain: who got an earlier one is left out of the third as well.
    assert_eq!(code(&http, &replacing("third", "new", "pending-only")), 1001);
    connect(&gateway, "returns").assert_silent();
    assert_eq!(connect(&gateway, "away").push().text(), "third");
    http.wait_outcome("third", "delivered", "1 of 1");
    http.wait_outcome("new", "cancelled", "0 of 1");
}

#[test]
fn what_cannot_be_replaced_is_refused_and_nothing_is_submitted() {
    let gateway = Gateway::start();
    let http = gateway.http();
    assert_eq!(code(&http, &replacing("n1", "never", "pending-only")), 2002, "the group is not known either");
    let mut alice = connect(&gateway, "alice");
    alice.join("news");
    assert_eq!(code(&http, &replacing("n2", "never", "pending-only")), 2004);
    http.push("old", "group:news", "old");
    let held = alice.publish_in();
    assert_eq!(code(&http, &replacing("n3", "old", "pending-only")), 2008, "it is under way to the only member");
    alice.puback(held.id);
    http.wait_outcome("old", "delivered", "1 of 1");
    assert_eq!(code(&http, &replacing("n4", "old", "pending-only")), 2008);
    for id in ["n1", "n2", "n3", "n4"] {
        assert_eq!(http.get(&format!("/api/v1/pushes/{id}")).status, 404);
    }
    alice.assert_silent();
    // In JSON the same, with the code in the problem document; and the new id may be used after a refusal.
    let new = |method: &str, old: &str| {
        let body = json!({"to": ["group:news"], "body": "x", "push_id": "n5", "replace_push_id": old, "replace_method": method});
        http.json("POST", "/api/v1/pushes", body)
    };
    assert_eq!(
        (new("pending-only", "never").status, new("pending-only", "never").json()["code"].as_u64()),
        (404, Some(2004))
    );
    assert_eq!(
        (new("pending-only", "old").status, new("pending-only", "old").json()["code"].as_u64()),
        (409, Some(2008))
    );
    assert_eq!(new("some", "old").status, 400);
    assert_eq!(new("all", "old").status, 202);
    assert_eq!(alice.push().text(), "x");
}

#[test]
fn the_end_of_a_long_chain_of_replacements_is_called_by_its_name() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "away");
    http.push("0", "group:news", "0");
    for n in 1..papcast::store::MAX_REPLACED {
        assert_eq!(code(&http, &replacing(&n.to_string(), &(n - 1).to_string(), "pending-only")), 1001);
    }
    let reply = http.pap(&replacing("one too many", "99", "pending-only"));
    assert_eq!(reply.pap_code(), 2008);
    assert!(reply.body.contains("the last of 100 that replaced each other"), "{reply:?}");
    http.wait_outcome("99", "pending", "0 of 1");
    // In the other way it can be replaced, and by then the chain is over.
    assert_eq!(code(&http, &replacing("fresh", "99", "all")), 1001);
    assert_eq!(code(&http, &replacing("fresher", "fresh", "pending-only")), 1001);
    assert_eq!(connect(&gateway, "away").push().text(), "fresher");
}

#[test]
fn an_address_that_cannot_be_replaced_is_rejected_alone_and_its_sender_is_told() {
    let initiator = Initiator::start();
    let gateway = Gateway::start_with("[notify]\nallow_private = true\n", &[]);
    let http = gateway.http();
    let mut alice = connect(&gateway, "alice");
    alice.join("news");
    http.bind("news", "bob");
    http.pap(&Pap::new("old").to("group:news").to("user:alice").delivery("confirmed"));
    alice.push();
    alice.ping();
    http.wait_outcome("old", "pending", "1 of 2");
    let new = Pap::new("new")
        .to("group:news")
        .to("user:alice")
        .to("user:bob")
        .attribute("replace-push-id", "old")
        .attribute("replace-method", "pending-only")
        .attribute("ppg-notify-requested-to", &initiator.url);
    assert_eq!(code(&http, &new), 1001);
    let notes: String = (0..2).map(|_| initiator.next().body).collect();
    for address in ["user:alice", "user:bob"] {
        assert!(notes.contains(&format!("address-value=\"{address}\"")), "{notes}");
    }
    assert_eq!(notes.matches("message-state=\"rejected\" code=\"2008\"").count(), 2, "{notes}");
    alice.assert_silent();
    assert_eq!(connect(&gateway, "bob").push().text(), "hello");
    http.wait_outcome("new", "delivered", "1 of 1");
}

#[test]
fn a_push_that_waits_for_its_time_is_replaced_whole() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut alice = connect(&gateway, "alice");
    alice.join("news");
    http.pap(&Pap::new("old").to("group:news").attribute("deliver-after-timestamp", "2099-01-01T00:00:00Z"));
    assert_eq!(http.get("/api/v1/pushes/old").status, 404, "too far away");
    let later = http.json(
        "POST",
        "/api/v1/pushes",
        json!({"to": ["group:news"], "body": "old", "push_id": "old", "deliver_after": in_seconds(3600)}),
    );
    assert_eq!(later.status, 202, "{later:?}");
    assert_eq!(code(&http, &replacing("new", "old", "pending-only")), 1001);
    assert_eq!(alice.push().text(), "new");
    http.wait_outcome("old", "cancelled", "0 of 0");
    http.wait_outcome("new", "delivered", "1 of 1");
}

#[test]
fn rule_19_nobody_gets_both_and_nobody_neither_while_pushes_are_replaced_under_load() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let users: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let mut terminals: Vec<Raw> = users
        .iter()
        .map(|user| {
            let mut terminal = connect(&gateway, user);
            terminal.join("news");
            terminal
        })
        .collect();
    http.bind("news", "away"); // So that there is always somebody whose push can be taken back.
    for round in 0..20 {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        http.push(&old, "group:news", &old);
        let replaced = code(&http, &replacing(&new, &old, "pending-only"));
        assert_eq!(replaced, 1001);
        for (terminal, user) in terminals.iter_mut().zip(&users) {
            let got = terminal.push();
            assert!([old.as_str(), new.as_str()].contains(&got.text()), "{user} got {got:?} in round {round}");
        }
    }
    http.push("end", "group:news", "end");
    for terminal in &mut terminals {
        assert_eq!(terminal.push().text(), "end");
    }
}

#[test]
fn rule_18_what_waits_is_dispatched_high_priority_first() {
    let mut gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    let due = now_seconds() + 2;
    let after = in_seconds(2);
    for priority in ["low", "medium", "high"] {
        for n in 0..2 {
            let body = json!({"to": ["group:news"], "body": format!("{priority}{n}"), "push_id": format!("{priority}{n}"),
                "priority": priority, "deliver_after": after});
            assert_eq!(http.json("POST", "/api/v1/pushes", body).status, 202);
        }
    }
    // The gateway is not there when their time comes: all six are a backlog at its start.
    gateway.kill();
    wait_for("their time to come", || (now_seconds() >= due).then_some(()));
    gateway.restart();
    let mut alice = connect(&gateway, "alice");
    let order: Vec<String> = (0..6).map(|_| alice.push().text().to_owned()).collect();
    assert_eq!(order, ["high0", "high1", "medium0", "medium1", "low0", "low1"]);
}
