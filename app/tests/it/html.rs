//! Just enough reading of HTML to say what must hold for every page: tags with their attributes, in order.

/// One start tag.
#[derive(Debug, Clone)]
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// All start tags. Script bodies are skipped; attribute values keep their entities.
pub fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        if name.is_empty() {
            continue;
        }
        rest = &rest[name.len()..];
        let (attributes, after) = attributes(rest);
        rest = after;
        // What these hold is text up to their end, whatever it looks like.
        if ["script", "title", "textarea"].contains(&name.as_str()) {
            rest = rest.find(&format!("</{name}")).map_or("", |end| &rest[end..]);
        }
        found.push(Tag { name, attributes });
    }
    found
}

fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.starts_with('>') || rest.starts_with("/>") || rest.is_empty() {
            return (found, rest);
        }
        let name: String = rest.chars().take_while(|c| !c.is_whitespace() && !"=>".contains(*c)).collect();
        assert!(!name.is_empty(), "broken markup near {:?}", rest.chars().take(60).collect::<String>());
        rest = &rest[name.len()..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let end = quoted.find('"').expect("a quoted attribute ends");
            value = quoted[..end].to_owned();
            rest = &quoted[end + 1..];
        }
        found.push((name, value));
    }
}

/// What must hold for every page regardless of content.
pub fn assert_sound(page: &str, html: &str) {
    let tags = tags(html);
    let ids: Vec<&str> = tags.iter().filter_map(|t| t.get("id")).collect();
    for id in &ids {
        assert_eq!(ids.iter().filter(|other| other == &id).count(), 1, "{page}: id {id} stands twice");
    }
    for tag in &tags {
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on"), "{page}: inline handler {name} on <{}>", tag.name);
            assert_ne!(name, "style", "{page}: a style attribute on <{}>, which the policy blocks", tag.name);
            let refers = ["aria-describedby", "aria-labelledby", "for"].contains(&name.as_str());
            for id in value.split_whitespace().filter(|_| refers) {
                assert!(ids.contains(&id), "{page}: {name} names {id}, which is not there");
            }
        }
        if tag.name == "a" {
            let href = tag.get("href").unwrap_or_default();
            assert!(href.starts_with(['/', '#', '?']), "{page}: a link leads out: {href}");
        }
        if tag.name == "form" {
            assert!(tag.get("action").is_none(), "{page}: a form posts elsewhere than to its own page");
        }
    }
    let labels: Vec<&str> = tags.iter().filter(|t| t.name == "label").filter_map(|t| t.get("for")).collect();
    for field in tags.iter().filter(|t| ["input", "select", "textarea"].contains(&t.name.as_str())) {
        let kind = field.get("type").unwrap_or_default();
        let wrapped = ["checkbox", "radio"].contains(&kind) || field.get("name") == Some("mode");
        let named =
            field.get("aria-label").is_some() || field.get("id").is_some_and(|id| labels.contains(&id));
        assert!(kind == "hidden" || wrapped || named, "{page}: a field without a name: {field:?}");
    }
    let count = |name: &str| tags.iter().filter(|t| t.name == name).count();
    assert_eq!((count("h1"), count("main"), count("title")), (1, 1, 1), "{page}: headings and landmarks");
    assert!(
        tags.iter().filter(|t| t.get("autofocus").is_some()).count() <= 1,
        "{page}: two fields want the focus"
    );
    // In an attribute's value a tag is text; as a tag it would have been found.
    let foreign = tags.iter().find(|t| t.name == "b" || (t.name == "script" && t.attributes.is_empty()));
    assert!(foreign.is_none(), "{page}: hostile text became markup: {foreign:?}");
}
