//! H11: what the body claims to be. `headers` has the same through a client; here are the shapes that it would not send.

use hookstream_test_support::{TestNats, github_delivery, run_test};

use super::raw::{exchange, refused, statuses, whole};
use crate::gateway::{ISSUE, TestGateway, stored_count};

/// H11: a content type that is missing, wrong, given twice, or of another charset.
#[tokio::test]
async fn a_content_type_that_is_not_ours_is_415() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let bare = github_delivery("issues", ISSUE).without_header("content-type");
        for headers in [
            "",
            "content-type:\r\n",
            "content-type: application/jsonp\r\n",
            "content-type: application/json, application/json\r\n",
            "content-type: application/json\r\ncontent-type: application/json\r\n",
            "content-type: application/json; charset=utf-16\r\n",
            "content-type: application/json; Charset=\"ISO-8859-1\"\r\n",
            "content-type: application/json\u{e9}\r\n",
            "content-type: multipart/form-data; boundary=x\r\n",
        ] {
            refused(&exchange(gateway.addr, &whole(&bare, headers)).await?, 415, "unsupported_content_type");
        }
        for (taken, number) in [
            ("content-type: application/json\r\n", 1),
            ("Content-Type:Application/JSON ;charset=UTF-8\r\n", 2),
            ("content-type: application/json; charset=\"utf-8\"; v=1\r\n", 3),
        ] {
            let delivery = github_delivery("issues", ISSUE).without_header("content-type");
            let request = whole(&delivery, &format!("{taken}connection: close\r\n"));
            assert_eq!(statuses(&exchange(gateway.addr, &request).await?), [202], "{taken}");
            assert_eq!(stored_count(&nats).await, number);
        }
        Ok(())
    })
    .await;
}

/// H11: compressed bodies, of which nobody knows how large they are.
#[tokio::test]
async fn a_content_coding_is_415_before_the_body_is_read() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        for coding in ["gzip", "GZIP", "identity, gzip", "x", ""] {
            // The body is not there yet: the answer does not wait for it.
            let mut request = whole(&delivery, &format!("content-encoding: {coding}\r\n"));
            request.truncate(request.len() - ISSUE.len());
            let mut connection = hookstream_test_support::http::RawConnection::open(gateway.addr).await?;
            connection.send(&request).await?;
            refused(&connection.read_all().await?, 415, "unsupported_content_encoding");
        }
        let twice = "content-encoding: identity\r\ncontent-encoding: br\r\n";
        refused(
            &exchange(gateway.addr, &whole(&delivery, twice)).await?,
            415,
            "unsupported_content_encoding",
        );
        let request = whole(&delivery, "content-encoding: Identity\r\nconnection: close\r\n");
        assert_eq!(statuses(&exchange(gateway.addr, &request).await?), [202]);
        Ok(())
    })
    .await;
}
