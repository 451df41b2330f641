//! H4: framing that two servers could read differently. Every delivery here is signed well, so that nothing but its
//! framing can be what is refused; and behind it, within what its sender calls the body, hides a request.

use hookstream_test_support::{Delivery, TestNats, github_delivery, run_test};

use super::raw::{chunked, exchange, head, refused, statuses};
use crate::gateway::{ISSUE, TestGateway, accepted, refused as refused_response, stored_count};

/// What an attacker would like to be served: its answer is recognisable.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nhost: hidden\r\n\r\n";

/// Sends a delivery with each of these framings, `(headers, body)`, and the hidden request after it. Each must be
/// refused with one of these codes, and nothing else of it be served or stored.
async fn refuses(framings: &[(&str, &str)], codes: [&str; 2]) {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (headers, body) in framings {
            let request = head(&github_delivery("issues", ISSUE), headers) + body + HIDDEN;
            let answer = exchange(gateway.addr, request.as_bytes()).await?;
            let code = codes.iter().find(|code| answer.contains(**code)).unwrap_or(&codes[0]);
            refused(&answer, 400, code);
        }
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        Ok(())
    })
    .await;
}

const AMBIGUOUS: [&str; 2] = ["ambiguous_request", "malformed_request"];
const BROKEN: [&str; 2] = ["body_incomplete", "body_incomplete"];

/// The delivery in chunks, to the end of it.
fn chunks() -> String {
    String::from_utf8(chunked(ISSUE.as_bytes(), 1000)).unwrap()
}

/// H4 CL.TE and TE.CL: a length beside chunks, in both orders. hyper takes the chunks and forgets the length.
#[tokio::test]
async fn a_length_beside_chunks_is_refused() {
    let (chunks, length) = (chunks(), format!("content-length: {}\r\n", ISSUE.len()));
    let framing = |first: &str, second: &str| format!("{first}{second}");
    let te = "transfer-encoding: chunked\r\n";
    refuses(
        &[
            (&framing(&length, te), &chunks),
            (&framing(te, &length), &chunks),
            (&framing("content-length: 0\r\n", te), &chunks),
            (&framing(te, "content-length: 6\r\n"), "0\r\n\r\nX"),
            (&framing("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"),
        ],
        AMBIGUOUS,
    )
    .await;
}

/// H4 TE.TE: codings that some take for chunked and some do not.
#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_refused() {
    let chunks = chunks();
    let codings = [
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: chunked;q=1\r\n",
        "transfer-encoding:\x0bchunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\nTransfer-Encoding : x\r\n",
        "x: y\r\ntransfer-encoding\r\n: chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
    ];
    let framings: Vec<_> = codings.iter().map(|coding| (*coding, chunks.as_str())).collect();
    refuses(&framings, AMBIGUOUS).await;
}

/// H4 two CLs: different ones, and the same twice.
#[tokio::test]
async fn two_lengths_are_refused_even_if_they_agree() {
    let length = ISSUE.len();
    let framings: Vec<String> = [
        format!("content-length: 0\r\ncontent-length: {length}\r\n"),
        format!("content-length: {length}\r\ncontent-length: 0\r\n"),
        format!("content-length: {length}\r\nContent-Length: {length}\r\n"),
        format!("content-length: {length}, {length}\r\n"),
        format!("content-length: 0, {length}\r\n"),
    ]
    .into();
    let framings: Vec<_> = framings.iter().map(|headers| (headers.as_str(), ISSUE)).collect();
    refuses(&framings, AMBIGUOUS).await;
}

/// H4 negative, `+5`, hexadecimal CL, and others that are no plain number.
#[tokio::test]
async fn a_length_that_is_no_plain_number_is_refused() {
    let length = ISSUE.len();
    let lengths: Vec<String> = [
        format!("+{length}"),
        format!("-{length}"),
        format!("{length:#x}"),
        format!("{length}.0"),
        format!("{length}e0"),
        format!("{length} {length}"),
        format!("\"{length}\""),
        "5_0".to_owned(),
        "\u{664}".to_owned(),
        "x".to_owned(),
        String::new(),
        "99999999999999999999".to_owned(),
        "18446744073709551616".to_owned(),
    ]
    .map(|length| format!("content-length: {length}\r\n"))
    .into();
    let framings: Vec<_> = lengths.iter().map(|headers| (headers.as_str(), ISSUE)).collect();
    refuses(&framings, AMBIGUOUS).await;
}

/// H4 bare LF, obs-fold, NUL, space before the colon, and other lines that some read and some do not.
#[tokio::test]
async fn header_lines_that_are_none_are_refused() {
    let length = format!("content-length: {}\r\n", ISSUE.len());
    let lines = [
        // A bare line feed ends a line for hyper.
        "x: y\n",
        "x: y\nz: y\r\n",
        "x: y\rz: y\r\n",
        "x: y\r\n folded\r\n",
        "x: y\r\n\tfolded\r\n",
        " x: y\r\n",
        "x: y\0z\r\n",
        "x\0: y\r\n",
        "x: y\x7f\r\n",
        "x : y\r\n",
        "x\t: y\r\n",
        "x\r\n",
        ": y\r\n",
        "x y: z\r\n",
        "host: other\r\n",
    ];
    let framings: Vec<String> = lines.iter().map(|line| format!("{line}{length}")).collect();
    let framings: Vec<_> = framings.iter().map(|headers| (headers.as_str(), ISSUE)).collect();
    refuses(&framings, AMBIGUOUS).await;
}

/// H4: an HTTP/1.1 request says whom it is for, once.
#[tokio::test]
async fn a_request_for_nobody_or_for_two_hosts_is_refused() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for hosts in ["", "host: a\r\nhost: b\r\n", "host: a\r\nHost: a\r\n"] {
            let request = format!("GET /healthz HTTP/1.1\r\n{hosts}\r\n");
            refused(&exchange(gateway.addr, request.as_bytes()).await?, 400, "ambiguous_request");
        }
        Ok(())
    })
    .await;
}

/// H4 chunk size overflow, and sizes that are no hexadecimal numbers.
#[tokio::test]
async fn chunk_sizes_that_overflow_or_are_no_numbers_are_refused() {
    let sizes = [
        "10000000000000000",
        "ffffffffffffffffff",
        "ffffffffffffffff0",
        "-1",
        "+1",
        "0x1",
        " 1",
        "1 1",
        "0 \x0b",
        "",
        ";",
        "g",
        "1\n",
    ];
    let bodies: Vec<String> = sizes.iter().map(|size| format!("{size}\r\n{ISSUE}\r\n0\r\n\r\n")).collect();
    let te = "transfer-encoding: chunked\r\n";
    let framings: Vec<_> = bodies.iter().map(|body| (te, body.as_str())).collect();
    refuses(&framings, BROKEN).await;
}

/// H4: chunks that are longer or shorter than they say, and lines within that end in a bare line feed.
#[tokio::test]
async fn chunks_that_do_not_end_where_they_say_are_refused() {
    let length = ISSUE.len();
    let bodies: Vec<String> = [
        format!("{:x}\r\n{ISSUE}\r\n0\r\n\r\n", length - 1),
        format!("{:x}\r\n{ISSUE}\r\n0\r\n\r\n", length + 1),
        format!("{length:x}\n{ISSUE}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{ISSUE}\n0\r\n\r\n"),
        format!("{length:x}\r\n{ISSUE}0\r\n\r\n"),
        format!("{length:x};a\nb\r\n{ISSUE}\r\n0\r\n\r\n"),
    ]
    .into();
    let te = "transfer-encoding: chunked\r\n";
    let framings: Vec<_> = bodies.iter().map(|body| (te, body.as_str())).collect();
    refuses(&framings, BROKEN).await;
}

/// H4 chunk-extension flood: a few mean nothing, many are refused.
#[tokio::test]
async fn chunk_extensions_are_read_over_until_they_are_too_many() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = || github_delivery("issues", ISSUE);
        let with = |delivery: &Delivery, extension: &str| {
            let head = head(delivery, "transfer-encoding: chunked\r\nconnection: close\r\n");
            format!("{head}{:x};{extension}\r\n{ISSUE}\r\n0\r\n\r\n", ISSUE.len())
        };
        let few = with(&delivery(), "name=value;other=\"quoted\"");
        assert_eq!(statuses(&exchange(gateway.addr, few.as_bytes()).await?), [202]);
        for flood in ["x".repeat(1_000_000), ";a=b".repeat(10_000)] {
            let answer = exchange(gateway.addr, with(&delivery(), &flood).as_bytes()).await?;
            refused(&answer, 400, "body_incomplete");
        }
        let mut flood = head(&delivery(), "transfer-encoding: chunked\r\n");
        flood.extend(ISSUE.bytes().map(|byte| format!("1;{}\r\n{}\r\n", "x".repeat(1000), char::from(byte))));
        refused(&exchange(gateway.addr, flood.as_bytes()).await?, 400, "body_incomplete");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

/// H4 trailers: what comes after the body is not part of what was asked.
#[tokio::test]
async fn trailers_are_read_over_and_prove_nothing() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let in_chunks = |delivery: &Delivery, trailers: &str| {
            let head = head(delivery, "transfer-encoding: chunked\r\nconnection: close\r\n");
            let chunks = chunks();
            format!("{head}{}{trailers}\r\n", &chunks[..chunks.len() - 2])
        };
        let signature = "x-hub-signature-256";
        let trailer = format!("{signature}: {}\r\n", delivery.header(signature).unwrap());
        let unsigned = in_chunks(&delivery.clone().without_header(signature), &trailer);
        let answer = exchange(gateway.addr, unsigned.as_bytes()).await?;
        assert_eq!(statuses(&answer), [401], "{answer}");
        let other = "content-length: 7\r\nx-github-event: push\r\ntransfer-encoding: chunked\r\n";
        assert_eq!(statuses(&exchange(gateway.addr, in_chunks(&delivery, other).as_bytes()).await?), [202]);
        let flood = in_chunks(&github_delivery("issues", ISSUE), &"x: y\r\n".repeat(30_000));
        refused(&exchange(gateway.addr, flood.as_bytes()).await?, 400, "body_incomplete");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

/// H4: a body that looks like a request is a body.
#[tokio::test]
async fn a_request_within_a_body_stays_there() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let unsigned = github_delivery("issues", HIDDEN.repeat(100));
        refused_response(&gateway.send(&unsigned).await, 400, "invalid_body");
        for framing in
            [format!("content-length: {}\r\n", HIDDEN.len()), "transfer-encoding: chunked\r\n".to_owned()]
        {
            let body = if framing.starts_with('c') {
                HIDDEN.to_owned()
            } else {
                String::from_utf8(chunked(HIDDEN.as_bytes(), 7))?
            };
            let nobody = github_delivery("issues", ISSUE).to_path("/nowhere");
            let answer = exchange(gateway.addr, (head(&nobody, &framing) + &body).as_bytes()).await?;
            refused(&answer, 404, "not_found");
        }
        Ok(())
    })
    .await;
}
