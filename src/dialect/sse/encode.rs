//! Writes events and comments. What would end a line early is refused, not repaired: CR, LF, and NUL, which makes a
//! parser ignore an `id`.

use crate::ConfigError;

/// `: text` and one line end.
pub(crate) fn comment_line(text: &str) -> Result<String, ConfigError> {
    one_line("a comment", text)?;
    Ok(if text.is_empty() { ":\n".to_owned() } else { format!(": {text}\n") })
}

/// `: text` and a blank line.
pub(crate) fn comment_block(text: &str) -> Result<String, ConfigError> {
    let mut block = comment_line(text)?;
    block.push('\n');
    Ok(block)
}

/// An event, with a type unless it is the default one.
pub(crate) fn event(name: Option<&str>, data: &str) -> Result<String, ConfigError> {
    one_line("event data", data)?;
    if data.is_empty() {
        return Err(ConfigError::new(
            "event data is at least one character, got none: an empty event reaches clients as \"\"",
        ));
    }
    let Some(name) = name else {
        return Ok(format!("data: {data}\n\n"));
    };
    one_line("an event name", name)?;
    if name.is_empty() {
        return Err(ConfigError::new("an event name is at least one character, got none"));
    }
    Ok(format!("event: {name}\ndata: {data}\n\n"))
}

fn one_line(what: &str, text: &str) -> Result<(), ConfigError> {
    match text.chars().find(|c| matches!(c, '\r' | '\n' | '\0')) {
        None => Ok(()),
        Some(found) => Err(ConfigError::new(format!(
            "{what} is one line without CR, LF or NUL, got {found:?} in {text:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written() {
        assert_eq!(comment_line("").unwrap(), ":\n");
        assert_eq!(comment_line("hb").unwrap(), ": hb\n");
        assert_eq!(comment_block("hb").unwrap(), ": hb\n\n");
        assert_eq!(event(None, "{}").unwrap(), "data: {}\n\n");
        assert_eq!(event(Some("ping"), "{}").unwrap(), "event: ping\ndata: {}\n\n");
    }

    #[test]
    fn what_is_refused() {
        let check = |result: Result<String, ConfigError>, sentence: &str| {
            assert_eq!(result.unwrap_err().to_string(), sentence);
        };
        check(comment_line("a\rb"), "a comment is one line without CR, LF or NUL, got '\\r' in \"a\\rb\"");
        check(comment_block("a\nb"), "a comment is one line without CR, LF or NUL, got '\\n' in \"a\\nb\"");
        check(event(None, "a\0b"), "event data is one line without CR, LF or NUL, got '\\0' in \"a\\0b\"");
        check(
            event(Some("p\r"), "{}"),
            "an event name is one line without CR, LF or NUL, got '\\r' in \"p\\r\"",
        );
        check(event(Some(""), "{}"), "an event name is at least one character, got none");
        check(
            event(None, ""),
            "event data is at least one character, got none: an empty event reaches clients as \"\"",
        );
    }
}
