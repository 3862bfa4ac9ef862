//! Rows in the form that the client asks for, and the words for moments and pages.

use super::problem::Problem;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Datelike as _, NaiveDate};
use serde::Serialize;
use tidemark_query::encode::Encoding;

/// Where the next page goes on, for formats that have no room for it.
const NEXT: HeaderName = HeaderName::from_static("tidemark-next-cursor");
/// Whether an answer was cut.
pub(super) const TRUNCATED: HeaderName = HeaderName::from_static("tidemark-truncated");

/// The encoding that a request asks for: `format` in its query, else its `Accept`.
pub(super) fn encoding(format: Option<&str>, headers: &HeaderMap) -> Result<Encoding, Problem> {
    let known = || Encoding::ALL.map(|(_, name, media)| format!("{name} ({media})")).join(", ");
    if let Some(format) = format {
        let found = Encoding::ALL.into_iter().find(|(_, name, _)| *name == format);
        return found
            .map(|(encoding, ..)| encoding)
            .ok_or_else(|| Problem::bad_request(format!("format must be one of {}, not \"{format}\"", known())));
    }
    let Some(accept) = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()) else {
        return Ok(Encoding::Json);
    };
    let mut ranges: Vec<(&str, f32)> = accept.split(',').map(range).filter(|(_, quality)| *quality > 0.0).collect();
    ranges.sort_by(|a, b| b.1.total_cmp(&a.1));
    let matching = ranges.iter().find_map(|(range, _)| {
        Encoding::ALL.into_iter().map(|(encoding, _, media)| (encoding, media)).find(|(_, media)| matches(range, media))
    });
    matching.map(|(encoding, _)| encoding).ok_or_else(|| {
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable").detail(format!("there are {}", known()))
    })
}

/// A media range of `Accept` and its quality.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (range, quality.unwrap_or(1.0))
}

fn matches(range: &str, media: &str) -> bool {
    range == "*/*"
        || range.eq_ignore_ascii_case(media)
        || range.strip_suffix('*').is_some_and(|kind| media.starts_with(kind))
}

/// An answer of rows. `document` is the whole of it where JSON is asked for.
pub(super) fn of_rows(
    encoding: Encoding,
    document: &impl Serialize,
    rows: impl FnOnce() -> Result<Vec<u8>, Problem>,
) -> Result<Response, Problem> {
    let body = match encoding {
        Encoding::Json => serde_json::to_vec(document).map_err(|error| Problem::internal("the answer", &error))?,
        _ => rows()?,
    };
    Ok(([(header::CONTENT_TYPE, encoding.media_type())], body).into_response())
}

/// Says where the next page is: as a cursor, and as the address of the page (RFC 8288).
pub(super) fn link_next(response: &mut Response, uri: &Uri, cursor: Option<&str>) {
    let Some(cursor) = cursor else { return };
    let kept =
        uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let parts: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={}", encoded(cursor))]).collect();
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), parts.join("&"));
    for (name, value) in [(header::LINK, link), (NEXT, encoded(cursor))] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// A text as a query parameter has it.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().fold(String::new(), |encoded, byte| {
        if plain(byte) { encoded + &char::from(byte).to_string() } else { format!("{encoded}%{byte:02X}") }
    })
}

/// A moment in milliseconds since 1970: a number of them, a date, or a date and time with its zone.
pub(super) fn moment(name: &str, text: Option<&String>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = || text.parse::<i64>().ok();
    let time = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
    let date = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc().timestamp_millis());
    number().or_else(time).or_else(date).map(Some).ok_or_else(|| {
        let examples = "2026-01-08, 2026-01-08T21:49:05Z or 1767908945298";
        Problem::bad_request(format!("{name} is \"{text}\" and must be a moment such as {examples}"))
    })
}

/// A moment in ISO 8601; `None` for the beginning and the end of time, and for what the calendar does not reach.
pub(super) fn iso(ms: i64) -> Option<String> {
    let moment = DateTime::from_timestamp_millis(ms)?;
    (0..=9999).contains(&moment.year()).then(|| moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// A limit of rows within what is allowed.
pub(super) fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default.min(most)),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(Problem::bad_request(format!("limit is {asked} and must be from 1 to {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_form_is_chosen() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            encoding(None, &headers)
        };
        assert_eq!(of("*/*"), Ok(Encoding::Json));
        assert_eq!(of("text/csv"), Ok(Encoding::Csv));
        assert_eq!(of("text/html, application/xhtml+xml, */*;q=0.8"), Ok(Encoding::Json));
        assert_eq!(of("application/json;q=0.5, application/vnd.apache.arrow.stream"), Ok(Encoding::Arrow));
        assert_eq!(of("application/x-ndjson;q=0, text/*"), Ok(Encoding::Csv));
        assert_eq!(of("image/png").map_err(|problem| problem.status()), Err(StatusCode::NOT_ACCEPTABLE));
        assert_eq!(encoding(Some("arrow"), &HeaderMap::new()), Ok(Encoding::Arrow));
        assert!(encoding(Some("xml"), &HeaderMap::new()).is_err());
    }

    #[test]
    fn moments_are_read() {
        let of = |text: &str| moment("from", Some(&text.to_owned())).map_err(|problem| problem.status());
        assert_eq!(of("1767908945298"), Ok(Some(1_767_908_945_298)));
        assert_eq!(of("2026-01-08T21:49:05.298Z"), Ok(Some(1_767_908_945_298)));
        assert_eq!(of("2026-01-08T22:49:05.298+01:00"), Ok(Some(1_767_908_945_298)));
        assert_eq!(of("1970-01-02"), Ok(Some(86_400_000)));
        assert_eq!(of("yesterday"), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn the_next_page_keeps_what_was_asked() {
        let mut response = Response::default();
        let uri: Uri = "/api/v1/x?key=a%26b&cursor=old&limit=2".parse().expect("a URI");
        link_next(&mut response, &uri, Some("k ä"));
        let link = response.headers()[header::LINK].to_str().expect("ASCII");
        assert_eq!(link, "</api/v1/x?key=a%26b&limit=2&cursor=k%20%C3%A4>; rel=\"next\"");
    }
}
