//! Fields of a `multipart/form-data` body (RFC 7578), which clients use for `query` and `param_x`.
//!
//! Invariant: works on a body that is wholly in memory and bounded; a malformed body is an error, never a guess.

use crate::exception::Exception;

/// The boundary named by a Content-Type, if it is multipart/form-data.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })
}

/// The body's fields as name and value. External tables (parts with a file name) are refused.
pub(crate) fn fields(body: &[u8], boundary: &str) -> Result<Vec<(String, String)>, Exception> {
    let bad = |what: &str| {
        Exception::new(Exception::BAD_ARGUMENTS, format_args!("multipart/form-data body: {what}"))
    };
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may stand at the very beginning, without a line break before it.
    let body = [b"\r\n", body].concat();
    let mut parts = split(&body, delimiter.as_bytes());
    parts.next();
    let mut fields = Vec::new();
    for part in parts {
        if part.starts_with(b"--") {
            return Ok(fields);
        }
        let end = find(part, b"\r\n\r\n").ok_or_else(|| bad("a part without header"))?;
        let (header, value) = part.split_at(end);
        let header = String::from_utf8_lossy(header);
        if attribute(&header, "filename").is_some() {
            let message =
                "external tables in multipart/form-data are not available here: insert into a table first";
            return Err(Exception::new(Exception::NOT_IMPLEMENTED, message));
        }
        let name = attribute(&header, "name").ok_or_else(|| bad("a part without a name"))?;
        let value = std::str::from_utf8(value.get(4..).unwrap_or_default())
            .map_err(|_| bad(&format!("field {name} is not UTF-8")))?;
        fields.push((name, value.to_owned()));
    }
    Err(bad("the closing boundary is missing"))
}

fn attribute(header: &str, wanted: &str) -> Option<String> {
    let line = header.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        (name.trim() == wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn split<'a>(text: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = find(text, delimiter) else { return rest.take() };
        rest = text.get(at + delimiter.len()..);
        text.get(..at)
    })
}

#[cfg(test)]
mod tests {
    use super::{boundary, fields};

    #[test]
    fn reads_fields_and_refuses_the_rest() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x-1\""), Some("x-1"));
        assert_eq!(boundary("text/plain; boundary=x"), None);
        let body = "--x\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {a:String}\r\n\
                    --x\r\ncontent-disposition: form-data; name=\"param_a\"\r\n\r\nä\r\n\r\n\r\n--x--\r\n";
        let expected = [("query", "SELECT {a:String}"), ("param_a", "ä\r\n\r\n")];
        let found = fields(body.as_bytes(), "x").unwrap();
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(fields(&body.as_bytes()[..80], "x").unwrap_err().code, 36);
        let file = "--x\r\nContent-Disposition: form-data; name=\"t\"; filename=\"t\"\r\n\r\n1\r\n--x--";
        assert_eq!(fields(file.as_bytes(), "x").unwrap_err().code, 48);
    }
}
