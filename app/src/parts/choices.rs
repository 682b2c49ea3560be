//! Fields that offer what the portal knows: profiles, modes, hosts, networks.

use crate::parts::faults::field_id;
use crate::parts::form::FormView;
use crate::parts::time;
use leptos::prelude::*;
use model::form::Field;
use model::image::{CORE, ProfileMeta, ProfileName, ProfileSet, SizeClass};
use model::machine::Mode;

/// A card for each profile, with what it includes and needs; below them the resulting list.
pub fn profiles(form: &FormView<'_>, field: &Field) -> AnyView {
    let chosen: Vec<&str> = form.data.all(field.name).flat_map(|v| v.split(',')).map(str::trim).collect();
    let selectable = form.choices.profiles.iter().filter(|(name, _)| name.as_str() != CORE);
    let mut cards: Vec<AnyView> = selectable
        .enumerate()
        .map(|(i, (name, meta))| {
            // The first card has the field's id, so that an error's link leads to something that takes the focus.
            let id = (i == 0).then(|| field_id(field.name));
            let focus = i == 0 && form.focused(field.name);
            profile_card(field.name, name, meta, chosen.contains(&name.as_str()), id, focus)
        })
        .collect();
    if cards.is_empty() {
        cards.push(view! { <p class="none">"There are no profiles besides core."</p> }.into_any());
    }
    view! {
        <fieldset class="field" data-field=field.name aria-describedby=form.described_by(field)>
            <legend>{field.label}</legend>
            {form.help(field)}
            <div class="cards">{cards}</div>
            <p class="composition">"Profiles: "<output id="composition">{composed(&chosen)}</output></p>
            {form.slot(field.name)}
        </fieldset>
    }
    .into_any()
}

fn composed(chosen: &[&str]) -> String {
    let set: Result<ProfileSet, _> = chosen.join(",").parse();
    set.map(|set| set.words()).unwrap_or_default()
}

fn profile_card(
    field: &'static str,
    name: &ProfileName,
    meta: &ProfileMeta,
    checked: bool,
    id: Option<String>,
    focus: bool,
) -> AnyView {
    let list = |word: &'static str, names: &[ProfileName]| {
        let names: Vec<&str> = names.iter().map(ProfileName::as_str).collect();
        (!names.is_empty())
            .then(|| view! { <span class="note">{format!("{word} {}", names.join(", "))}</span> })
    };
    let brings = (!meta.brings.is_empty()).then(|| meta.brings.join(", "));
    let size = match meta.size {
        SizeClass::Small => "small",
        SizeClass::Medium => "medium",
        SizeClass::Large => "large",
    };
    view! {
        <label class="choice">
            <input id=id type="checkbox" name=field value=name.to_string() checked=checked autofocus=focus/>
            <span class="choice-title">{meta.title.clone()}<span class="tag">{size}</span></span>
            <span>{meta.summary.clone()}</span>
            {brings.map(|text| view! { <span class="note">{format!("Includes {text}")}</span> })}
            {list("Needs", &meta.needs)}
            {list("Conflicts with", &meta.conflicts)}
        </label>
    }
    .into_any()
}

/// The three modes with what each means.
pub fn mode(form: &FormView<'_>, field: &Field) -> AnyView {
    let now = form.data.get(field.name).to_owned();
    let cards = Mode::ALL.into_iter().enumerate().map(|(i, mode)| {
        let id = (i == 0).then(|| field_id(field.name));
        let focus = i == 0 && form.focused(field.name);
        view! {
            <label class="choice">
                <input
                    id=id type="radio" name=field.name value=mode.as_str() checked=now == mode.as_str()
                    autofocus=focus
                />
                <span class="choice-title">{mode.title()}</span>
                <span>{mode.summary()}</span>
            </label>
        }
    });
    view! {
        <fieldset class="field" data-field=field.name aria-describedby=form.described_by(field)>
            <legend>{field.label}</legend>
            <div class="cards">{cards.collect_view()}</div>
            {form.help(field)}
            {form.slot(field.name)}
        </fieldset>
    }
    .into_any()
}

/// The hosts by name, with a note on unreachable ones.
pub fn host(form: &FormView<'_>, field: &Field) -> AnyView {
    let options = form.choices.hosts.iter().map(|host| {
        let name = host.name.to_string();
        let words = if host.reachable { name.clone() } else { format!("{name} (unreachable)") };
        (name, words)
    });
    select(form, field, options.collect())
}

/// The generations that a machine does not boot now, newest first.
pub fn generation(form: &FormView<'_>, field: &Field) -> AnyView {
    let others = form.choices.generations.iter().filter(|generation| !generation.is_current);
    let options = others.map(|generation| {
        let made = time::exact(generation.made);
        (
            generation.number.to_string(),
            format!("{}: {}, made {made}", generation.number, generation.profiles.words()),
        )
    });
    select(form, field, options.collect())
}

/// NAT and every bridge of every host.
pub fn network(form: &FormView<'_>, field: &Field) -> AnyView {
    let several = form.choices.hosts.len() > 1;
    let mut options = vec![("nat".to_owned(), "NAT: behind the host, reachable only from it".to_owned())];
    for host in &form.choices.hosts {
        for bridge in &host.bridges {
            let on = if several { format!(" on {}", host.name) } else { String::new() };
            let option =
                (format!("bridge:{bridge}"), format!("Bridge {bridge}{on}: directly on that network"));
            if !options.iter().any(|(value, _)| *value == option.0) {
                options.push(option);
            }
        }
    }
    select(form, field, options)
}

/// A choice of one. A posted value that is not offered is added to the options: nothing that was entered gets lost.
fn select(form: &FormView<'_>, field: &Field, mut options: Vec<(String, String)>) -> AnyView {
    let now = form.data.get(field.name).to_owned();
    if !now.is_empty() && !options.iter().any(|(value, _)| *value == now) {
        options.push((now.clone(), now.clone()));
    }
    let options = options.into_iter().map(|(value, words)| {
        let selected = value == now;
        view! { <option value=value selected=selected>{words}</option> }
    });
    view! {
        <select
            id=field_id(field.name) name=field.name aria-invalid=form.invalid(field.name)
            aria-describedby=form.described_by(field) autofocus=form.focused(field.name)
        >
            {options.collect_view()}
        </select>
    }
    .into_any()
}
