//! Prints what is public, one item a line, and which foreign crates' types are in it; from rustdoc's JSON. See `scripts/api`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;

use serde_json::Value;
use tower_lifeline::BoxError;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [all_features, no_features] = &arguments[..] else {
        return Err("usage: public_api RUSTDOC.json RUSTDOC-OF-NO-FEATURES.json".into());
    };
    let api = public_api::Builder::from_rustdoc_json(all_features)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    for item in api.items() {
        println!("{item}");
    }
    println!("\n# Foreign types in it, and behind no feature:");
    let always = foreign(no_features)?;
    for (foreign, types) in &always {
        println!("{foreign}: {}", types.join(", "));
    }
    println!("\n# And behind features:");
    for (foreign, mut types) in foreign(all_features)? {
        types.retain(|name| !always.get(&foreign).is_some_and(|always| always.contains(name)));
        if !types.is_empty() {
            println!("{foreign}: {}", types.join(", "));
        }
    }
    Ok(())
}

/// Types and traits of other crates that stand in signatures here, by their crate.
fn foreign(path: &OsStr) -> Result<BTreeMap<String, Vec<String>>, BoxError> {
    let json: Value = serde_json::from_reader(BufReader::new(File::open(path)?))?;
    let mut found = BTreeMap::new();
    let own = |item: &&Value| item["crate_id"] == 0 && item["inner"]["use"].is_null();
    for item in json["index"].as_object().into_iter().flat_map(|index| index.values()).filter(own) {
        let inner = &item["inner"]["impl"];
        // What `auto` and `impl<T> X for T` bring along is nobody's decision.
        if inner["is_synthetic"] == true || !inner["blanket_impl"].is_null() {
            continue;
        }
        collect(&item["inner"], &json, &mut found);
    }
    Ok(found.into_iter().map(|(foreign, types)| (foreign, types.into_iter().collect())).collect())
}

fn collect(value: &Value, json: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Value::Object(members) = value {
        let id = members.get("id").filter(|_| members.contains_key("path")).and_then(Value::as_u64);
        let named = id.map(|id| &json["paths"][id.to_string()]).filter(|named| named["crate_id"] != 0);
        if let Some(path) = named.and_then(|named| named["path"].as_array()) {
            let mut path = path.iter().filter_map(Value::as_str);
            let foreign = path.next().unwrap_or_default();
            // The last is a bound on `Unpin` that nobody can name.
            if !matches!(foreign, "core" | "alloc" | "std" | "pin_project_lite") {
                let name = path.next_back().unwrap_or_default().to_owned();
                found.entry(foreign.to_owned()).or_default().insert(name);
            }
        }
    }
    let below: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(elements) => Box::new(elements.iter()),
        _ => return,
    };
    below.for_each(|value| collect(value, json, found));
}
