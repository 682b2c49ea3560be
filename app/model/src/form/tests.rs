//! What each form's fields read and refuse, with random input too.

use super::*;
use crate::catalog;
use crate::fault::FieldError;
use crate::identity::PasswordHash;
use crate::newtype::Refused;
use crate::operation::{MachineAction, Operation, OperationKind};
use proptest::prelude::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAtkeqGyVnUaYpkXeUOKuJfQfCfIF/XZfKpM4tqVQXJT you@laptop";

fn no_hash(_: &str) -> Result<PasswordHash, Refused> {
    "$6$saltsalt$abcdefghijklmnopqrstuvwxyz".parse()
}

fn create_form(changes: &[(&str, &str)]) -> FormData {
    let mut data = defaults(OperationKind::Create);
    for (name, value) in [("intent", "create"), ("name", "web-1"), ("host", "local")].iter().chain(changes) {
        data.set(name, *value);
    }
    data
}

fn errors_of(changes: &[(&str, &str)]) -> Vec<String> {
    let errors = operations(&create_form(changes), &no_hash).expect_err("the form must be refused");
    errors.into_iter().map(|e| e.field).collect()
}

#[test]
fn defaults_with_a_name_are_a_machine() {
    let operations = operations(&create_form(&[]), &no_hash).unwrap();
    let [Operation::Create { spec }] = operations.as_slice() else { panic!("{operations:?}") };
    assert_eq!(spec.memory.get(), 2048);
    assert_eq!(spec.profiles.to_string(), "core");
    assert!(spec.identity.tcp_ports.iter().any(|p| p.contains(22)));
    assert_eq!(spec.identity.root_password, None);
}

#[test]
fn all_errors_are_told_at_once_in_the_forms_order() {
    let wrong = [
        ("name", "Web 1"),
        ("memory", "lots"),
        ("tcp_ports", "22\n99999"),
        ("dns", "one.one"),
        ("hosts", "x"),
        ("notes", "\x07"),
    ];
    assert_eq!(errors_of(&wrong), ["name", "memory", "tcp_ports", "dns", "hosts", "notes"]);
}

#[test]
fn hostile_names_profiles_and_keys_are_refused_beside_their_field() {
    for evil in [
        "a\"b",
        "a'b",
        "a\nb",
        "$(reboot)",
        "`id`",
        "../../etc",
        "<script>alert(1)</script>",
        "a;b",
        "a|b",
        "\0",
        "-rf",
    ] {
        assert_eq!(errors_of(&[("name", evil)]), ["name"], "{evil:?}");
        assert_eq!(errors_of(&[("profiles", evil)]), ["profiles"], "{evil:?}");
        assert_eq!(errors_of(&[("host", evil)]), ["host"], "{evil:?}");
        assert_eq!(errors_of(&[("network", &format!("bridge:{evil}"))]), ["network"], "{evil:?}");
        let keys = errors_of(&[("admin_keys", &format!("{KEY}\n{evil}"))]);
        assert!(keys.iter().all(|f| f == "admin_keys") && !keys.is_empty(), "{evil:?}");
    }
}

#[test]
fn a_key_pasted_twice_is_one_key_and_comments_are_no_keys() {
    let text = format!("# mine\n{KEY}\n\n  {KEY}  \n");
    let operations = operations(&create_form(&[("admin_keys", &text)]), &no_hash).unwrap();
    let [Operation::Create { spec }] = operations.as_slice() else { panic!("{operations:?}") };
    assert_eq!(spec.identity.admin_keys.len(), 1);
}

#[test]
fn the_password_is_hashed_and_never_kept_in_the_form() {
    let form = create_form(&[("root_password", "correct horse")]);
    let operations = operations(&form, &no_hash).unwrap();
    assert!(!serde_json::to_string(&operations).unwrap().contains("correct horse"));
    assert!(!format!("{:?}", form.without_secrets()).contains("correct horse"));
    assert_eq!(errors_of(&[("root_password", "two\nlines")]), ["root_password"]);
}

#[test]
fn a_new_disk_has_one_bound_and_a_larger_one_that_there_is_may_stay() {
    let told = |changes: &[(&str, &str)]| operations(&create_form(changes), &no_hash).unwrap_err().remove(0);
    for size in ["0", "16384", "65537"] {
        assert_eq!(told(&[("disk", size)]).message, "The disk in GiB must be between 1 and 16383.", "{size}");
    }
    let mut read = operations(&create_form(&[]), &no_hash).unwrap();
    let Some(Operation::Create { mut spec }) = read.pop() else { panic!("a machine") };
    spec.disk = 20_000.try_into().unwrap();
    let mut form = opened(OperationKind::Reconfigure, &spec);
    form.set("intent", "reconfigure");
    form.set("machine", "web-1");
    assert!(operations(&form, &no_hash).is_ok());
    form.set("disk", "20001");
    assert_eq!(operations(&form, &no_hash).unwrap_err()[0].field, "disk");
}

#[test]
fn a_console_password_is_as_long_as_any_other_here() {
    for (password, is_accepted) in [("1", false), ("elevenchars", false), ("twelve chars", true)] {
        let read = operations(&create_form(&[("root_password", password)]), &no_hash);
        assert_eq!(read.is_ok(), is_accepted, "{password}");
        let told = read.err().map(|errors| errors[0].message.clone());
        assert_eq!(told, crate::account::password_fault(password), "{password}");
    }
}

#[test]
fn profiles_are_judged_though_something_else_is_wrong() {
    let meta = |conflicts: &[&str]| crate::image::ProfileMeta {
        title: String::new(),
        summary: String::new(),
        brings: vec![],
        needs: vec![],
        conflicts: conflicts.iter().map(|name| name.parse().unwrap()).collect(),
        ports: Default::default(),
        modes: crate::machine::Mode::ALL.to_vec(),
        size: Default::default(),
    };
    let profiles = [("core", meta(&[])), ("docker", meta(&["podman"])), ("podman", meta(&[]))]
        .map(|(name, meta)| (name.parse().unwrap(), meta));
    let profiles = profiles.into();
    let form = create_form(&[("memory", "lots"), ("profiles", "docker,podman")]);
    let told = wrong_profiles(&form, &profiles).unwrap();
    assert!(told.field == "profiles" && told.message.contains("cannot be combined"), "{told:?}");
    assert_eq!(wrong_profiles(&create_form(&[("profiles", "docker")]), &profiles), None);
    assert_eq!(wrong_profiles(&create_form(&[("profiles", "$(id)")]), &profiles), None, "told already");
    // What a machine has is not judged again.
    let read = operations(&create_form(&[("profiles", "docker,podman")]), &no_hash).unwrap();
    let [Operation::Create { spec }] = read.as_slice() else { panic!("{read:?}") };
    let opened = opened(OperationKind::Reconfigure, spec);
    assert_eq!(wrong_profiles(&opened, &profiles), None);
    let mut changed = opened;
    changed.set("profiles", "gone");
    assert!(wrong_profiles(&changed, &profiles).unwrap().message.contains("no profile"));
}

#[test]
fn a_password_that_a_page_does_not_show_again_is_asked_for_again() {
    let posted = create_form(&[("root_password", "correct horse"), ("memory", "lots")]);
    let mut again = posted.without_secrets().without_secrets();
    again.set("memory", "512");
    assert_eq!(again.all(RETYPE).collect::<Vec<_>>(), ["root_password"]);
    let told = operations(&again, &no_hash).unwrap_err();
    assert_eq!(told, [FieldError::new("root_password", TYPE_AGAIN)]);
    for (name, value) in [(LEFT_EMPTY, "root_password"), ("root_password", "correct horse battery")] {
        let mut decided = again.clone();
        decided.set(name, value);
        assert!(operations(&decided, &no_hash).is_ok(), "{name}");
    }
    let never = create_form(&[("memory", "lots")]).without_secrets();
    assert!(!never.has(RETYPE));
    let login = FormData(vec![("password".to_owned(), "correct horse".to_owned())]).without_secrets();
    assert!(!login.has(RETYPE), "accounts' forms need all of their secrets anyway");
}

#[test]
fn a_password_that_is_to_be_removed_is_not_asked_for_again() {
    let form = |pairs: &[(&str, &str)]| {
        FormData(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    let retype = (RETYPE, "root_password");
    assert!(form(&[retype]).must_retype("root_password"));
    assert!(!form(&[retype]).must_retype("samba_password"));
    assert!(!form(&[retype, ("remove_root_password", "yes")]).must_retype("root_password"));
    assert!(form(&[retype, ("remove_samba", "yes")]).must_retype("root_password"));
}

#[test]
fn the_password_for_shares_is_part_of_the_machine_and_of_no_form() {
    let form = create_form(&[("samba_user", "ada"), ("samba_password", "open sesame")]);
    let operations = operations(&form, &no_hash).unwrap();
    let [Operation::Create { spec }] = operations.as_slice() else { panic!("{operations:?}") };
    assert!(!format!("{operations:?}").contains("sesame"));
    assert!(
        !format!("{:?}", from_spec(spec)).contains("sesame") && from_spec(spec).get("samba_user") == "ada"
    );
    assert!(!format!("{:?}", form.without_secrets()).contains("sesame"));
    assert_eq!(errors_of(&[("samba_user", "ada")]), ["samba_password"]);
    let mut hidden = spec.identity.clone();
    hidden.hide_secrets();
    assert!(!serde_json::to_string(&hidden).unwrap().contains("sesame"));
}

#[test]
fn what_is_entered_as_a_secret_is_dropped_from_every_form_and_nothing_else() {
    let operations = catalog::TABLE.iter().flat_map(|row| row.form.groups()).flat_map(|group| group.fields);
    let mut all: Vec<(&str, bool)> = operations.map(|f| (f.name, f.entry == Entry::Password)).collect();
    all.extend(ACCOUNT.map(|(name, entry)| (name, entry == Entry::Password)));
    // Names decide nothing.
    all.push(("ssh_passwords_allowed", false));
    let form = FormData(all.iter().map(|(name, _)| ((*name).to_owned(), "x".to_owned())).collect());
    let kept = form.without_secrets();
    for (name, secret) in all {
        assert_eq!(kept.has(name), !secret, "{name}");
    }
}

#[test]
fn one_clone_form_means_one_copy_or_several_with_numbers() {
    let first = operations(&create_form(&[("profiles", "docker"), ("disk", "40")]), &no_hash).unwrap();
    let [Operation::Create { spec }] = first.as_slice() else { panic!("{first:?}") };
    let form = |pairs: &[(&str, &str)]| {
        let mut form = opened(OperationKind::Clone, spec);
        assert!(!form.has("name") && !form.has("static_address"), "{form:?}");
        form.set("intent", "clone");
        form.set("machine", "web-1");
        pairs.iter().for_each(|(name, value)| form.set(name, *value));
        operations(&form, &no_hash)
    };
    let one = form(&[("name", "db"), ("memory", "512")]).unwrap();
    let [Operation::OnMachine { machine, action: MachineAction::Clone(copy) }] = one.as_slice() else {
        panic!("{one:?}")
    };
    assert_eq!((machine.as_str(), copy.name.as_str(), copy.start), ("web-1", "db", false));
    let sizes = (copy.memory.get(), copy.vcpus, copy.disk.get(), &copy.network, &copy.profiles);
    assert_eq!(sizes, (512, spec.vcpus, 40, &spec.network, &spec.profiles));
    let titles =
        |pairs: &[(&str, &str)]| form(pairs).unwrap().iter().map(Operation::title).collect::<Vec<_>>();
    let three = ["Clone web-1 to db-1", "Clone web-1 to db-2", "Clone web-1 to db-3"];
    assert_eq!(titles(&[("name", "db-{n}"), ("copies", "3"), ("start", "yes")]), three);
    assert_eq!(titles(&[("name", "db-{n}")]), three[..1]);
    let wrong = |pairs: &[(&str, &str)]| {
        form(pairs).unwrap_err().into_iter().map(|e| (e.field, e.message)).collect::<Vec<_>>()
    };
    for (pairs, field, why) in [
        ([("name", "db"), ("copies", "2")], "name", "{n}"),
        ([("name", "db-{n}"), ("copies", "21")], "copies", "between 1 and 20"),
        ([("name", "-{n}"), ("copies", "20")], "name", "letter"),
        ([("name", "a"), ("disk", "x")], "disk", "whole number"),
    ] {
        let told = wrong(&pairs);
        assert!(told.len() == 1 && told[0].0 == field && told[0].1.contains(why), "{pairs:?} {told:?}");
    }
}

#[test]
fn one_build_form_means_one_or_several_images() {
    let build = |pairs: &[(&str, &str)]| {
        let mut data = FormData(vec![("intent".into(), "build".into()), ("mode".into(), "immutable".into())]);
        data.0.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        operations(&data, &no_hash).unwrap().iter().map(Operation::title).collect::<Vec<_>>()
    };
    assert_eq!(
        build(&[("profiles", "docker"), ("profiles", "rust")]),
        ["Build image core, docker, rust (immutable)"]
    );
    assert_eq!(build(&[("profiles", "docker"), ("profiles", "rust"), ("each", "true")]).len(), 2);
    assert_eq!(build(&[("set", "core"), ("set", "core,dev"), ("set", "dev")]).len(), 2);
}

#[test]
fn a_specification_survives_its_form() {
    let filled = [
        ("profiles", "docker,rust"),
        ("admin_keys", KEY),
        ("udp_ports", "53\n6000:6010"),
        ("static_address", "192.168.1.20/24,192.168.1.1"),
        ("dns", "1.1.1.1\n2606:4700::1111"),
        ("hosts", "10.0.0.1 router router.lan"),
        ("certificates", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
        ("samba_shares", "/var/mnt/films //nas/films ro"),
        ("autostart", "yes"),
        ("delete_protection", "yes"),
        ("notes", "Ask Ada.\r\n\r\nRack 4"),
    ];
    let first = operations(&create_form(&filled), &no_hash).unwrap();
    let [Operation::Create { spec }] = first.as_slice() else { panic!("{first:?}") };
    let mut again = from_spec(spec);
    again.set("intent", "create");
    assert_eq!(operations(&again, &no_hash).unwrap(), first);
}

#[test]
fn a_configuration_survives_its_form() {
    let filled =
        [("profiles", "docker,rust"), ("admin_keys", KEY), ("autostart", "yes"), ("notes", "Rack 4")];
    let first = operations(&create_form(&filled), &no_hash).unwrap();
    let [Operation::Create { spec }] = first.as_slice() else { panic!("{first:?}") };
    let mut form = opened(OperationKind::Reconfigure, spec);
    form.set("intent", "reconfigure");
    form.set("machine", "web-1");
    let read = operations(&form, &no_hash).unwrap();
    let [Operation::OnMachine { action: MachineAction::Reconfigure(change), .. }] = read.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((&change.base, &change.spec), (&**spec, &**spec));
    form.0.retain(|(name, value)| !(name == "profiles" && value == "rust" || name == "autostart"));
    let read = operations(&form, &no_hash).unwrap();
    let [Operation::OnMachine { action: MachineAction::Reconfigure(change), .. }] = read.as_slice() else {
        panic!("{read:?}")
    };
    let changes: Vec<String> =
        change.base.changes(&change.spec).into_iter().map(|change| change.what).collect();
    assert_eq!(changes, ["Autostart: on → off", "Profiles: − rust"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Any bytes posted under any intent are answered, with operations or with errors beside fields.
    #[test]
    fn any_body_is_answered(intent in 0..OperationKind::ALL.len(), body in proptest::collection::vec(any::<u8>(), 0..256)) {
        let kind = OperationKind::ALL[intent];
        let mut data = FormData::from_urlencoded(&body);
        data.0.push(("intent".into(), kind.as_str().into()));
        if let Err(errors) = operations(&data, &no_hash) {
            prop_assert!(!errors.is_empty());
        }
    }

    /// The same with bodies that have the right field names, so that every field's parser is reached.
    #[test]
    fn any_value_in_any_field_is_answered(values in proptest::collection::vec((0..24usize, "\\PC{0,40}|[ -~\n]{0,80}"), 0..12)) {
        let names = OperationKind::Create.row().form.names();
        let mut data = create_form(&[]);
        for (at, value) in &values {
            if let Some(name) = names.get(*at) {
                data.set(name, value.clone());
            }
        }
        match operations(&data, &no_hash) {
            Ok(found) => prop_assert_eq!(found.len(), 1),
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }
}

#[test]
fn one_form_builds_so_many_images_and_no_more() {
    let form = |count: usize| {
        let sets = (0..count).map(|n| ("set".to_owned(), format!("core,p{n}")));
        let intent = [("intent", "build"), ("mode", "immutable")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        FormData(intent.into_iter().chain(sets).collect())
    };
    assert_eq!(operations(&form(BUILDS_MAX), &no_hash).unwrap().len(), BUILDS_MAX);
    for count in [BUILDS_MAX + 1, 500] {
        let wrong = operations(&form(count), &no_hash).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].message.contains("at most 32"), "{wrong:?}");
    }
}
