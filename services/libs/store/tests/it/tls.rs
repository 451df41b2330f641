use std::path::Path;
use std::time::Duration;

use hookstream_store::{Connection, PgSettings, StoreError};
use hookstream_test_support::{TestDatabase, eventually, run_test};

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name).display().to_string()
}

/// Writes a file into the server's data directory, as the server's own user.
async fn place(client: &Connection, name: &str, text: &str) -> Result<(), StoreError> {
    let copy = format!(
        "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'cat > {name} && chmod 600 {name}'",
        text.trim_end()
    );
    Ok(client.batch_execute(&copy).await?)
}

/// A server of our own that speaks TLS.
async fn encrypted_server() -> anyhow::Result<TestDatabase> {
    let database = TestDatabase::create_private().await;
    let client = database.client().await;
    for name in ["server.crt", "server.key"] {
        place(&client, name, &std::fs::read_to_string(file(name))?).await?;
    }
    client.batch_execute("ALTER SYSTEM SET ssl = on").await?;
    client.execute("SELECT pg_reload_conf()", &[]).await?;
    eventually("the server speaks TLS", Duration::from_secs(20), async || {
        let client = database.client().await;
        client.query_one("SHOW ssl", &[]).await.is_ok_and(|row| row.get::<_, &str>(0) == "on")
    })
    .await;
    Ok(database)
}

/// Whether a session opened with these settings is encrypted.
async fn is_encrypted(url: &str) -> Result<bool, StoreError> {
    let settings = PgSettings::from_url(url).expect("settings with files that are there");
    let client = Connection::open(&settings, "test").await?;
    let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?;
    Ok(row.get("ssl"))
}

#[tokio::test]
async fn each_sslmode_demands_what_libpq_demands() {
    run_test(async || {
        let database = encrypted_server().await?;
        let (ca, other) = (file("ca.crt"), file("other-ca.crt"));
        let by_address = database.url();
        let by_name = by_address.replace("127.0.0.1", "localhost");
        let with = |url: &str, query: String| format!("{}?{query}", url.split('?').next().unwrap());
        let verify = |mode: &str, root: &str| format!("sslmode={mode}&sslrootcert={root}");

        let plain = is_encrypted(&with(&by_address, "sslmode=disable".to_owned())).await?;
        assert!(!plain, "disable");
        for (url, query) in [
            (&by_address, "sslmode=prefer".to_owned()),
            (&by_address, "sslmode=require".to_owned()),
            (&by_address, verify("verify-ca", &ca)),
            (&by_name, verify("verify-full", &ca)),
        ] {
            assert!(is_encrypted(&with(url, query.clone())).await?, "{query}");
        }
        for (url, query) in [
            // The certificate is for localhost.
            (&by_address, verify("verify-full", &ca)),
            (&by_name, verify("verify-full", &other)),
            (&by_address, verify("verify-ca", &other)),
            (&by_address, verify("require", &other)),
        ] {
            let refused = is_encrypted(&with(url, query.clone())).await.unwrap_err();
            let chain = refused.chain();
            assert!(chain.contains("certificate"), "{query}: {chain}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let with = |mode: &str| format!("{}?sslmode={mode}", database.url().split('?').next().unwrap());
        assert!(!is_encrypted(&with("prefer")).await?);
        let refused = is_encrypted(&with("require")).await.unwrap_err().chain();
        assert!(refused.contains("does not support TLS"), "{refused}");
        Ok(())
    })
    .await;
}
