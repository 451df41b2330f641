use hookstream_signature::{Key, Keyring, hub, standard_webhooks};
use hookstream_test_support::{
    GITHUB_SECRET, INTERNAL_SECRET, github_delivery, github_form_delivery, internal_delivery,
    internal_hub_delivery,
};

fn ring(secret: &str) -> Keyring {
    Keyring::new(vec![Key::new("test", secret.as_bytes()).unwrap()]).unwrap()
}

#[test]
fn github_deliveries_verify_in_both_forms_and_have_their_own_ids() {
    let (json, form) = (github_delivery("push", "{}"), github_form_delivery("push", b"{\"a\":\"b c&d\"}"));
    for delivery in [&json, &form] {
        let signature = delivery.header("x-hub-signature-256").unwrap().as_bytes();
        hub::verify(&ring(GITHUB_SECRET), &[signature], 0, &delivery.body).unwrap();
    }
    assert_ne!(json.id(), form.id());
    assert_eq!(form.body, "payload=%7B%22a%22%3A%22b+c%26d%22%7D");
}

#[test]
fn internal_deliveries_verify_by_either_scheme() {
    let delivery = internal_delivery("{}");
    let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| delivery.header(name).unwrap().as_bytes());
    let now = delivery.header("webhook-timestamp").unwrap().parse().unwrap();
    let headers = standard_webhooks::Headers { id: &[id], timestamp: &[timestamp], signature: &[signature] };
    standard_webhooks::verify(&ring(INTERNAL_SECRET), &headers, now, &delivery.body).unwrap();

    let delivery = internal_hub_delivery("{}");
    let signature = delivery.header("x-hub-signature-256").unwrap().as_bytes();
    hub::verify(&ring(INTERNAL_SECRET), &[signature], 0, &delivery.body).unwrap();
}

#[test]
fn a_changed_delivery_keeps_the_rest() {
    let delivery = github_delivery("push", "{}").with_header("x-github-event", "issues").with_body("[]");
    assert_eq!(delivery.header("x-github-event"), Some("issues"));
    assert_eq!(delivery.without_header("x-github-event").header("x-github-event"), None);
}
