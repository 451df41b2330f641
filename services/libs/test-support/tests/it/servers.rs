use std::time::Duration;

use hookstream_store::MigrationSet;
use hookstream_test_support::{CutProxy, TestDatabase, TestNats, eventually};

#[tokio::test]
async fn a_provisioned_server_has_the_streams() {
    let nats = TestNats::start().await;
    let bus = nats.connect("operator").await;
    assert_eq!(bus.stream_state("WEBHOOKS").await.unwrap().messages, 0);
    bus.consumer("WEBHOOKS", "audit").state().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_comes_back_with_its_streams() {
    let nats = TestNats::start().await;
    let bus = nats.connect("operator").await;
    nats.kill().await;
    eventually("the loss of the connection", Duration::from_secs(10), async || !bus.is_connected()).await;
    nats.restart().await;
    bus.wait_connected(Duration::from_secs(20)).await.unwrap();
    bus.stream_state("WEBHOOKS").await.unwrap();
}

#[tokio::test]
async fn nats_can_be_reached_through_a_proxy() {
    let nats = TestNats::start_empty().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = hookstream_bus::Bus::connect(&nats.settings_at("operator", proxy.addr())).await.unwrap();
    bus.wait_connected(Duration::from_secs(10)).await.unwrap();
    assert_eq!(proxy.open_connections(), 1);
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    assert_ne!(one.name(), other.name());
    assert_eq!(one.addr(), other.addr());
    one.client().await.batch_execute("CREATE TABLE only_here ()").await.unwrap();
    assert!(other.client().await.batch_execute("SELECT FROM only_here").await.is_err());
}

#[tokio::test]
async fn a_database_is_dropped_with_its_handle_even_while_in_use() {
    let watcher = TestDatabase::create().await;
    let database = TestDatabase::create().await;
    let name = database.name().to_owned();
    let _session = database.client().await;
    drop(database);
    let client = watcher.client().await;
    let found = client.query("SELECT FROM pg_database WHERE datname = $1", &[&name]).await.unwrap();
    assert!(found.is_empty());
}

#[tokio::test]
async fn migrations_can_be_applied() {
    const SET: MigrationSet =
        MigrationSet { name: "mine", migrations: &[("0001_mine", "CREATE TABLE mine ()")] };
    let database = TestDatabase::create().await;
    database.migrate(&[&SET]).await;
    database.client().await.batch_execute("SELECT FROM mine, projection_checkpoints").await.unwrap();
}

#[tokio::test]
async fn a_private_server_can_be_killed_and_keeps_what_was_committed() {
    let database = TestDatabase::create_private().await;
    let client = database.client().await;
    client.batch_execute("CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    database.kill_server().await;
    assert!(client.batch_execute("SELECT 1").await.is_err());
    database.restart_server().await;
    let row = database.client().await.query_one("SELECT n FROM kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>("n"), 7);
}

#[tokio::test]
#[should_panic(expected = "use TestDatabase::create_private")]
async fn a_shared_server_cannot_be_killed() {
    TestDatabase::create().await.kill_server().await;
}
