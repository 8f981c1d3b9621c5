//! Chat templates, rendered by minijinja as transformers renders them with Jinja2: the same
//! variables, functions, filters and whitespace rules. A template is a program from the checkpoint:
//! its steps are bounded by fuel, its recursion by minijinja, its output by `MAX_OUTPUT_BYTES`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

use crate::tojson::tojson;
use crate::{json, Failure, Outcome, Status};

const NAME: &str = "chat template";
const CONFIG: &str = "tokenizer_config.json";
/// The steps of one rendering: real templates need some dozens, plus as many per message.
const FUEL: u64 = 50_000;
const FUEL_PER_MESSAGE: u64 = 2_000;
const MAX_OUTPUT_BYTES: usize = 64 << 20;
/// minijinja limits nested brackets and blocks, but not chains such as `1+1+1+..`, whose tree is as
/// deep as they are long. 16,000 links fit a stack of 8 MiB; words make links of 4 bytes or more.
const MAX_SOURCE_BYTES: usize = 64 << 10;
const MAX_OPERATORS: usize = 12_000;

pub struct Message<'a> {
    pub role: &'a str,
    pub content: &'a str,
}

pub struct Template {
    source: String,
    /// bos_token and its like, as tokenizer_config.json gives them.
    variables: BTreeMap<String, String>,
}

impl Template {
    /// The given source, else the config's `chat_template`; none of them: `None`.
    pub fn open(given: Option<&str>, config: &[u8]) -> Outcome<Option<Template>> {
        let config = match config.is_empty() {
            true => Json::Null,
            false => json::parse(config, CONFIG)?,
        };
        let source = match given {
            Some(source) => Some(source.to_string()),
            None => template_of(&config)?,
        };
        let Some(source) = source else { return Ok(None) };
        let n_operators = source.bytes().filter(|b| b"+-*/%~|<>=!".contains(b)).count();
        if source.len() > MAX_SOURCE_BYTES || n_operators > MAX_OPERATORS {
            let message = format!(
                "the chat template is too large: {} bytes (at most {MAX_SOURCE_BYTES}), \
                 {n_operators} operators (at most {MAX_OPERATORS})",
                source.len()
            );
            return Err(Failure(Status::Unsupported, message));
        }
        let template = Template { source, variables: token_variables(&config) };
        template.environment(0)?;
        Ok(Some(template))
    }

    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Outcome<String> {
        let environment = self.environment(messages.len())?;
        let list: Vec<Value> = messages
            .iter()
            .map(|m| Value::from_pairs([("role", m.role), ("content", m.content)]))
            .collect();
        let mut context: BTreeMap<&str, Value> =
            self.variables.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str()))).collect();
        context.insert("messages", Value::from(list));
        context.insert("add_generation_prompt", Value::from(add_generation_prompt));

        let mut output = Bounded(Vec::new());
        let template = environment.get_template(NAME).map_err(failure)?;
        template.render_captured_to(Value::from(context), &mut output).map_err(failure)?;
        String::from_utf8(output.0).map_err(|_| {
            Failure(Status::Internal, "the chat template printed invalid UTF-8".into())
        })
    }

    /// Compiling takes microseconds; a fresh environment per rendering keeps this type immutable
    /// and lets the fuel follow the number of messages.
    fn environment(&self, n_messages: usize) -> Outcome<Environment<'_>> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(failure)?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL + FUEL_PER_MESSAGE * n_messages as u64));
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_template(NAME, &self.source).map_err(failure)?;
        Ok(environment)
    }
}

/// `chat_template`: a string, or a list of {name, template}, of which "default" is ours.
fn template_of(config: &Json) -> Outcome<Option<String>> {
    match config.get("chat_template") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(source)) => Ok(Some(source.clone())),
        Some(Json::Array(list)) => {
            let default = list.iter().find(|t| t.get("name").is_some_and(|n| n == "default"));
            let source = default.and_then(|t| t.get("template")).and_then(Json::as_str);
            match source {
                Some(source) => Ok(Some(source.to_string())),
                None => Err(corrupt("chat_template is a list without one named 'default'")),
            }
        }
        Some(_) => Err(corrupt("chat_template is neither a string nor a list")),
    }
}

/// The members `<name>_token`: strings, or objects with the string in `content`.
fn token_variables(config: &Json) -> BTreeMap<String, String> {
    let members = config.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| name.ends_with("_token"))
        .filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value.get("content").and_then(Json::as_str))?;
            Some((name.clone(), text.to_string()))
        })
        .collect()
}

/// Marks an error that the template itself raised: the messages are at fault.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("raised by the chat template")
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
}

/// The local time, as Python's `datetime.now().strftime(format)` writes it.
fn strftime_now(format: String) -> Result<String, Error> {
    let bad = || Error::new(ErrorKind::InvalidOperation, "strftime_now: this format is not usable");
    if format.is_empty() {
        return Ok(format);
    }
    let format = CString::new(format).map_err(|_| bad())?;
    let mut buffer = [0u8; 512];
    // SAFETY: all pointers are valid for the calls, and strftime is told the buffer's size.
    let length = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&now, &mut local).is_null() {
            return Err(bad());
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &local)
    };
    match length {
        0 => Err(bad()),
        _ => Ok(String::from_utf8_lossy(&buffer[..length]).into_owned()),
    }
}

fn corrupt(what: &str) -> Failure {
    Failure(Status::Corrupt, format!("{CONFIG}: {what}"))
}

fn failure(error: Error) -> Failure {
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if inner.is::<Raised>() {
            let detail = error.detail().unwrap_or("the chat template refuses these messages");
            return Failure(Status::InvalidArgument, format!("chat template: {detail}"));
        }
        cause = inner.source();
    }
    let status = match error.kind() {
        ErrorKind::SyntaxError => Status::Corrupt,
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => Status::ResourceExhausted,
        _ => Status::Unsupported,
    };
    Failure(status, format!("chat template: {error}"))
}

/// Output that refuses to grow beyond `MAX_OUTPUT_BYTES`.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::Error::other("the output is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
