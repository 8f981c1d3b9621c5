//! The filter `tojson` as transformers defines it: Python's `json.dumps`, without the HTML escapes of
//! Jinja's own. Depth and length are limited, since a template may nest its own values at will.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

const MAX_DEPTH: usize = 64;
const MAX_BYTES: usize = 16 << 20;

pub fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("separators must be a pair")),
        None if indent.is_some() => (",".into(), ": ".into()),
        None => (", ".into(), ": ".into()),
    };
    let indent = indent.map(|n| n.min(MAX_DEPTH));
    let mut writer = Writer { indent, item, key, ascii, sorted, text: String::new() };
    writer.value(value, 0)?;
    Ok(writer.text)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"))
}

struct Writer {
    indent: Option<usize>,
    /// The separators after an item and after a key.
    item: String,
    key: String,
    /// Whether everything beyond ASCII becomes \uXXXX.
    ascii: bool,
    sorted: bool,
    text: String,
}

impl Writer {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Error> {
        if level > MAX_DEPTH || self.text.len() > MAX_BYTES {
            return Err(invalid("the value is nested too deeply or too large"));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?;
                self.members('[', ']', level, items, |writer, item| writer.value(&item, level + 1))
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.members('{', '}', level, keys.into_iter(), |writer, key| {
                    writer.string(&key.to_string());
                    writer.text.push_str(&writer.key.clone());
                    writer.value(&value.get_item(&key)?, level + 1)
                })
            }
            ValueKind::String => {
                self.string(value.as_str().unwrap_or_default());
                Ok(())
            }
            ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                let scalar = serde_json::to_string(value).map_err(|e| invalid(&e.to_string()))?;
                self.text.push_str(&scalar);
                Ok(())
            }
            kind => Err(invalid(&format!("a value of type {kind} is not JSON"))),
        }
    }

    fn members(
        &mut self,
        open: char,
        close: char,
        level: usize,
        members: impl Iterator<Item = Value>,
        mut write: impl FnMut(&mut Writer, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.text.push(open);
        let mut any = false;
        for member in members {
            if any {
                self.text.push_str(&self.item.clone());
            }
            any = true;
            self.line(level + 1);
            write(self, member)?;
        }
        if any {
            self.line(level);
        }
        self.text.push(close);
        Ok(())
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', indent * level));
        }
    }

    fn string(&mut self, s: &str) {
        let quoted = serde_json::Value::from(s).to_string();
        if !self.ascii {
            self.text.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if c.is_ascii() {
                self.text.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                self.text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
