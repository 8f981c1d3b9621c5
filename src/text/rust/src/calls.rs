//! The grammar of answers that may call functions: free text, then calls, one a line, each as
//! `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` with a space after commas and colons.

use serde_json::{json, Map, Value};

use crate::{json::parse, Failure, Outcome, Status};

/// What was asked for: `{"functions": [{"name", "parameters"}], "required": bool, "parallel": bool}`.
/// Names need no escapes; parameters are schemas of objects.
pub struct Calls {
    functions: Vec<(String, Map<String, Value>)>,
    required: bool,
    parallel: bool,
}

impl Calls {
    pub fn read(source: &str) -> Outcome<Calls> {
        let mut source = parse(source.as_bytes(), "the list of functions")
            .map_err(|Failure(_, why)| Failure(Status::InvalidArgument, why))?;
        let mut functions = Vec::new();
        for function in source["functions"].as_array_mut().ok_or_else(wrong)? {
            let name = function["name"].as_str().ok_or_else(wrong)?.to_string();
            let Value::Object(schema) = function["parameters"].take() else { return Err(wrong()) };
            functions.push((name, schema));
        }
        let flag = |name: &str| source[name].as_bool().ok_or_else(wrong);
        Ok(Calls { functions, required: flag("required")?, parallel: flag("parallel")? })
    }

    /// In llguidance's dialect of Lark.
    pub fn grammar(&self) -> String {
        let mut lark = String::new();
        let further = if self.parallel { r#" ("\n<tool_call>" call)*"# } else { "" };
        if self.required {
            lark += &format!("start: \"<tool_call>\" call{further}\n");
        } else {
            lark += &format!("start: TEXT | opening call{further}\n");
            lark += "TEXT: /(?s:.*)/ & ~/(?s:.*)<tool_call>(?s:.*)/\n";
            lark += "opening[suffix=\"<tool_call>\"]: /(?s:.*)/\n";
        }
        let names: Vec<String> = (0..self.functions.len()).map(|i| format!("call_{i}")).collect();
        lark += &format!("call: {}\n", names.join(" | "));
        for ((name, schema), rule) in self.schemas().zip(&names) {
            let head = json!(format!("{{\"name\": \"{name}\", \"arguments\": "));
            lark += &format!("{rule}: {head} %json {schema} \"}}</tool_call>\"\n");
        }
        lark
    }

    /// The names, and the schemas with the layout of the documented form. Members that a schema does
    /// not mention would be allowed by it; leaving them out satisfies it just as well.
    pub fn schemas(&self) -> impl Iterator<Item = (&str, Value)> {
        self.functions.iter().map(|(name, schema)| {
            let mut schema = schema.clone();
            let combined = ["patternProperties", "anyOf", "oneOf", "allOf", "$ref", "if"];
            if !combined.iter().any(|key| schema.contains_key(*key)) {
                schema.entry("additionalProperties").or_insert(json!(false));
            }
            let layout = json!({"item_separator": ", ", "key_separator": ": ",
                                "whitespace_flexible": false});
            schema.insert("x-guidance".to_string(), layout);
            (name.as_str(), Value::Object(schema))
        })
    }
}

fn wrong() -> Failure {
    Failure(Status::Internal, "a list of functions of the wrong form".to_string())
}
