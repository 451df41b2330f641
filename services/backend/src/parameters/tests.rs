use axum::http::Request;
use time::macros::datetime;

use super::*;

/// The parameters of a request for `/list?…`.
async fn parameters(query: &str) -> Result<Parameters, Problem> {
    let (mut parts, ()) = Request::get(format!("/list?{query}")).body(()).unwrap().into_parts();
    Parameters::from_request_parts(&mut parts, &()).await
}

/// What the caller is told is wrong with a page of this query.
async fn wrong(query: &str) -> String {
    let problem = match parameters(query).await {
        Ok(parameters) => parameters.page::<i64>().expect_err(query),
        Err(problem) => problem,
    };
    match problem {
        Problem::BadParameter { name, rule } => format!("{name} {rule}"),
        other => panic!("{query}: {other:?}"),
    }
}

#[tokio::test]
async fn a_limit_is_from_1_to_500_and_100_if_absent() {
    for (query, limit) in [("", 100), ("limit=1", 1), ("limit=500", 500)] {
        assert_eq!(parameters(query).await.unwrap().page::<i64>().unwrap().limit, limit);
    }
    for limit in ["0", "501", "-1", "+5", "1e2", "", "99999999999999999999", "abc", "1 "] {
        let query = format!("limit={}", limit.replace('+', "%2B").replace(' ', "%20"));
        assert_eq!(wrong(&query).await, "limit must be from 1 to 500", "{limit}");
    }
}

#[tokio::test]
async fn unknown_doubled_and_oversized_parameters_are_named() {
    assert_eq!(wrong("isue=7").await, "isue is not a parameter here; there are limit, cursor, min_sequence");
    assert_eq!(wrong("limit=1&limit=2").await, "limit must be given once");
    assert_eq!(wrong(&format!("a={}", "x".repeat(1025))).await, "a must have at most 1024 bytes");
    assert_eq!(wrong("a=%00").await, "a must not hold U+0000");
    assert_eq!(wrong("min_sequence=-1").await, "min_sequence must be a whole number, 0 or more");
}

#[tokio::test]
async fn times_may_have_an_offset_or_be_a_date() {
    let cases = [
        ("2026-11-23T10:00:00Z", Some(datetime!(2026-11-23 10:00 UTC))),
        ("2026-11-23T12:00:00+02:00", Some(datetime!(2026-11-23 10:00 UTC))),
        ("2026-11-23T12:00:00%2B02:00", Some(datetime!(2026-11-23 10:00 UTC))),
        ("2026-11-23", Some(datetime!(2026-11-23 0:00 UTC))),
        ("2026-02-30", None),
        ("%2B2026-11-23", None),
        ("0000-01-01", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("yesterday", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let found = parameters(&format!("since={text}")).await.unwrap().time("since");
        assert_eq!(found.ok().flatten(), expected, "{text}");
    }
    assert_eq!(parameters("").await.unwrap().time("since"), Ok(None));
}

#[tokio::test]
async fn a_date_is_one_that_postgres_reads() {
    for (text, is_date) in
        [("2026-11-23", true), ("0001-01-01", true), ("%2B2026-11-23", false), ("-2026-11-23", false)]
    {
        let found = parameters(&format!("since={text}")).await.unwrap().date("since");
        assert_eq!(found.is_ok(), is_date, "{text}");
    }
}

#[tokio::test]
async fn numbers_are_digits_that_fit_into_a_bigint() {
    assert_eq!(whole_number("issue", "0042"), Ok(42));
    assert_eq!(whole_number("issue", "9223372036854775807"), Ok(i64::MAX));
    for text in ["", "-1", "+1", "1.0", "0x1", "9223372036854775808", "١"] {
        assert!(whole_number("issue", text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_filters_that_a_cursor_belongs_to_are_told_apart() {
    let scope = async |query: &str| {
        let mut parameters = parameters(query).await.unwrap();
        parameters.text("a");
        parameters.text("b");
        parameters.page::<i64>().unwrap().scope
    };
    assert_eq!(scope("a=1&b=2&limit=5").await, scope("b=2&a=1").await);
    assert_ne!(scope("a=1").await, scope("b=1").await);
    assert_ne!(scope("a=1%0A1:b=1:2").await, scope("a=1&b=2").await);
    assert_ne!(scope("a=").await, scope("").await);
}
