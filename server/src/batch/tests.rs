//! Each format reads the same machines, says where it cannot, and ends quickly whatever it is given.

use super::*;
use model::operation::{Operation, OperationKind};
use model::spec::Spec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn base() -> FormData {
    let mut base = model::form::defaults(OperationKind::Create);
    base.set("intent", "create");
    base.set("host", "local");
    base
}

fn machines(text: &str) -> Vec<Described> {
    let read = read(text, base());
    read.unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.first().unwrap())).machines
}

/// The machines of a text in which nothing is wrong.
fn specs(text: &str) -> Vec<Spec> {
    let spec = |machine: Described| {
        assert_eq!(machine.errors, [], "{text}");
        let read = model::form::operations(&machine.data, &model::form::placeholder_hash).expect(text);
        match read.into_iter().next() {
            Some(Operation::Create { spec }) => *spec,
            other => panic!("{other:?}"),
        }
    };
    machines(text).into_iter().map(spec).collect()
}

fn mistakes(text: &str) -> Vec<String> {
    let read = read(text, base());
    let mistakes = read.err().unwrap_or_else(|| panic!("this was read: {text}"));
    mistakes.iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<(String, String)> {
    let errors = machines(text).into_iter().flat_map(|machine| machine.errors);
    errors.map(|error| (error.field, error.message)).collect()
}

#[test]
fn each_format_reads_the_same_machines() {
    let csv = "name,profiles,memory,vcpus,disk,network,tcp_ports,autostart,notes\r\n\
               web-1,docker;nginx,4096,4,50,nat,22;80,yes,\"first; \"\"one\"\"\"\r\n\
               # a comment\r\n\
               \r\n\
               web-2,,,,,bridge:br0,,,\r\n";
    let spreadsheet = csv.replace(',', "\t");
    let semicolons = "Name;Profiles;Memory;Processors;Disk;Network;Open TCP ports;Autostart;Notes\r\
                      web-1;\"docker\nnginx\";4G;4;50G;nat;\"22\n80\";x;\"first; \"\"one\"\"\"\r\
                      web-2;;;;;bridge:br0;;no;\r";
    let toml = r#"
        [[machine]]
        name = "web-1"
        profile = ["nginx", "docker"]
        memory = 4096
        vcpus = 4
        var_size = "50G"
        tcp_ports = [22, "80"]
        autostart = true
        notes = 'first; "one"'
        [[machine]]
        name = "web-2"
        network = "bridge:br0"
    "#;
    let json = r#"[
        {"name": "web-1", "profiles": "docker,nginx", "memory": "4 GiB", "vcpus": 4, "disk": 50, "tcp_ports": ["22", 80],
         "autostart": true, "notes": "first; \"one\"", "network": null},
        {"hostname": "web-2", "network": "bridge:br0"}
    ]"#;
    let commands = "just create-batch web-1 docker,nginx 4096 4 50G nat tcp_ports='22;80' \\\n  autostart=yes notes='first; \"one\"'\n\n# then\n\
                    create-batch web-2 network=bridge:br0\n";
    let expected = specs(csv);
    let [first, second] = expected.as_slice() else { panic!("{expected:?}") };
    assert_eq!((first.memory.get(), first.disk.get(), first.vcpus.get()), (4096, 50, 4));
    assert_eq!(
        (first.profiles.to_string(), first.notes.as_str()),
        ("core,docker,nginx".to_owned(), "first; \"one\"")
    );
    assert!(first.autostart && first.identity.tcp_ports.iter().any(|ports| ports.contains(80)));
    assert_eq!((second.memory.get(), second.network.to_string()), (2048, "bridge:br0".to_owned()));
    assert!(second.identity.tcp_ports.iter().any(|ports| ports.contains(22)) && !second.autostart);
    for (text, format) in [
        (csv, Format::Csv),
        (&spreadsheet, Format::Csv),
        (semicolons, Format::Csv),
        (toml, Format::Toml),
        (json, Format::Json),
        (commands, Format::Commands),
    ] {
        assert_eq!(specs(text), expected, "{text}");
        assert_eq!(read(text, base()).ok().map(|batch| batch.format), Some(format));
        let with_mark = format!("\u{feff}\n{}", text.replace('\n', "\r\n").replace("\r\r", "\r"));
        assert_eq!(specs(&with_mark), expected, "{with_mark:?}");
    }
}

#[test]
fn what_a_text_is_shows_in_its_first_line() {
    for (text, format) in [
        ("name\nweb", Some(Format::Csv)),
        ("# x\n\n[ [defaults]", Some(Format::Toml)),
        ("[[machine]]", Some(Format::Toml)),
        ("  [\n\n {}]", Some(Format::Json)),
        ("[]", Some(Format::Json)),
        ("{}", Some(Format::Json)),
        ("a.b = 1", Some(Format::Toml)),
        ("name,a=b", Some(Format::Csv)),
        ("just start web", Some(Format::Commands)),
        ("nixos-vm-template create-batch web", Some(Format::Commands)),
        ("config-batch web", Some(Format::Commands)),
        (" \n\t\n# only a comment", None),
        ("", None),
    ] {
        assert_eq!(Format::of(text), format, "{text}");
    }
}

#[test]
fn defaults_hold_for_every_machine_that_does_not_say_otherwise() {
    let toml = "[defaults]\nmemory = 512\ntcp_ports = []\nautostart = true\n[[machine]]\nname = 'a'\n\
                [[machine]]\nname = 'b'\nmemory = 1024\ntcp_ports = 80\nautostart = false";
    let json = r#"{"machines": [{"name": "a"}, {"name": "b", "memory": 1024, "tcp_ports": [80], "autostart": "no"}],
                   "defaults": {"memory": 512, "tcp_ports": "-", "autostart": 1}}"#;
    let expected = specs(toml);
    assert_eq!(specs(json), expected);
    let seen: Vec<_> =
        expected.iter().map(|s| (s.memory.get(), s.identity.tcp_ports.len(), s.autostart)).collect();
    assert_eq!(seen, [(512, 0, true), (1024, 1, false)]);
    assert_eq!(mistakes("[defaults]\nmemory = [1]\n[[machine]]\nname = 'a'").len(), 1);
    let unknown = mistakes("[defaults]\nmemroy = 1\n[[machine]]\nname = 'a'");
    assert!(
        unknown[0].starts_with("In the defaults: There is no field “memroy”; did you mean “memory”?"),
        "{unknown:?}"
    );
}

#[test]
fn the_cli_s_names_and_ways_of_writing_are_understood() {
    let machines = specs(
        "create-batch a claude,dev,mutable 8192 8 1T bridge:br0 10.1.2.3/24,10.1.2.1\n\
         just create-batch b profiles=core,semi-mutable static_ip=\"10.1.2.4/24\" var_size=20\n\
         config-batch c '' 1G",
    );
    let seen: Vec<String> = machines
        .iter()
        .map(|spec| {
            let address = spec.identity.static_address.as_ref().map(ToString::to_string).unwrap_or_default();
            format!(
                "{} {} {} {} {address}",
                spec.profiles,
                spec.mode.as_str(),
                spec.memory.get(),
                spec.disk.get()
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "claude,core,dev mutable 8192 1024 10.1.2.3/24,10.1.2.1",
            "core semi-mutable 2048 20 10.1.2.4/24",
            "core immutable 1024 30 "
        ]
    );
    let files = specs(
        r##"[{"name": "a", "mutable": true, "resolv.conf": "# x; y\nnameserver 1.1.1.1\n", "static_ip": "address=10.0.0.2/24\ngateway=10.0.0.1\n"},
            {"name": "b", "mutable": "false", "mode": "semi-mutable"}]"##,
    );
    assert_eq!((files[0].mode.as_str(), files[1].mode.as_str()), ("mutable", "semi-mutable"));
    assert_eq!(files[0].identity.dns.len(), 1);
    assert_eq!(files[0].identity.static_address.as_ref().unwrap().to_string(), "10.0.0.2/24,10.0.0.1");
}

#[test]
fn a_text_that_cannot_be_read_says_where_and_what_was_expected() {
    for (text, said) in [
        ("", "Paste the machines here"),
        (
            "name,memroy\nweb,1",
            "Line 1: the first line names the columns. There is no field “memroy”; did you mean “memory”? The fields are: name, host",
        ),
        (
            "\n\nweb-1,docker,2048",
            "Line 3: the first line names the columns. There are no fields “web-1”, “docker”, “2048”.",
        ),
        ("memory,disk\n1,2", "has to be “name”"),
        ("profile,name,profiles\n", "“profile” and “profiles” are the same"),
        ("name,memory\n# x; y\n \n\nweb", "Line 5: this line has 1 value"),
        ("name,name\n", "“name” stands twice"),
        ("name,memory\nweb\nweb-2,1,2", "Line 2: this line has 1 value for 2 columns."),
        ("name,notes\nweb,\"x\nweb-2,y", "Line 2, column 5: this quotation mark is not closed"),
        ("name\n", "There is no machine in this text, which looks like CSV."),
        ("[{\"name\": \"ü\" \"x\"}]", "Line 1, column 15: expected `,` or `}`."),
        ("[{\"name\": {\"a\": 1}}]", "expected a text, a number, true, false, or a list"),
        ("[{\"profiles\": [[1]]}]", "a list holds texts and numbers only"),
        ("{\"name\": \"web\"}", "“name” belongs to no machine"),
        ("{\"machines\": {}}", "expected a list of machines"),
        ("[[machine]]\nname = web", "Line 2, column 8: "),
        ("[[machine]]\nname = 'a'\nname = 'b'", "Line 3, column 1: duplicate key"),
        ("[machine]\nname = 'a'", "in TOML, each begins with [[machine]]"),
        ("name = 'a'", "Line 1, column 1: “name” belongs to no machine"),
        ("create-batch web 'x", "Line 1: a quotation mark is not closed."),
        ("create-batch web\njust start web", "Line 2: “create-batch” is expected here"),
        ("create-batch 1 2 3 4 5 6 7 8", "there are more than 7 arguments: name, profiles"),
        ("name\nweb\0", "Line 2, column 4: there is a control character (U+0000)."),
        ("name\nweb\u{fffd}", "Line 2, column 4: a character cannot be read. Save the file as UTF-8."),
    ] {
        let told = mistakes(text);
        assert!(told.iter().any(|one| one.contains(said)), "{text:?}: {told:?}");
    }
}

#[test]
fn what_is_wrong_with_one_machine_stands_beside_it() {
    let first = |text: &str| errors(text).into_iter().next().unwrap();
    let (field, message) = first("[{\"name\": \"a\", \"colour\": 1, \"shape\": 2}]");
    assert_eq!(field, "");
    assert!(
        message.starts_with("There are no fields “colour”, “shape”. The fields are: name, host, profiles"),
        "{message}"
    );
    assert_eq!(first("[{\"name\": \"a\", \"memory\": [1]}]").0, "memory");
    assert_eq!(first("name,autostart\na,perhaps"), ("autostart".to_owned(), "Write yes or no.".to_owned()));
    assert_eq!(first("[{\"name\": \"a\", \"mutable\": \"perhaps\"}]").0, "mode");
    let (field, message) = first("create-batch a memory=1 mem_ory=2");
    assert!(field.is_empty() && message.contains("“memory” and “mem_ory” are the same"), "{message}");
    let (field, message) = first("name\na\nb\na\n");
    assert!(field == "name" && message.contains("has the name a"), "{message}");
    assert_eq!(first("[{\"name\": \"a\", \"name\": \"b\"}]").1, "“name” stands twice.");
    assert_eq!(errors("name\na\nb\n"), []);
    // A password is what was typed, blanks included.
    for text in ["name,root_password\n a , x y ", "[{\"name\": \" a \", \"root_password\": \" x y \"}]"] {
        let machine = machines(text).remove(0);
        assert_eq!((machine.data.raw("name"), machine.data.raw("root_password")), ("a", " x y "));
    }
    // What is no size stays as it was written, for the reader of the form to judge.
    let odd = machines("name,memory,disk\na,lots,1536M\n");
    assert_eq!((odd[0].data.get("memory"), odd[0].data.get("disk")), ("lots", "1536M"));
}

/// A text of the longest length that is read.
fn long(part: &str) -> String {
    part.repeat(mistake::TEXT_MAX / part.len())
}

#[test]
fn hostile_texts_end_quickly_and_with_a_message() {
    let rows: String = (0..10_000).map(|n| format!("web-{n}\n")).collect();
    let keys = |n: usize| (0..n).map(|n| format!("k{n}")).collect::<Vec<_>>();
    let many_keys = keys(30_000).join(",");
    let object = keys(12_000).iter().map(|key| format!("\"{key}\":1")).collect::<Vec<_>>().join(",");
    for text in [
        long("x"),
        long("["),
        long("{"),
        long("{\"a\":"),
        format!("[{}", long("[").split_at(9).1),
        long("\""),
        long("name,"),
        long("name\n"),
        long("'"),
        long("create-batch "),
        long("create-batch 'a\n"),
        long("[[machine]]\n"),
        format!("a = {}", long("[").split_at(9).1),
        format!("[{}a]", long("a.").split_at(9).1),
        format!("{}a = 1", long("a.").split_at(9).1),
        format!("a = {}", long("{a=").split_at(9).1),
        format!("name\n{rows}"),
        format!("[{}{{}}]", "{},".repeat(80_000)),
        many_keys,
        long("\\\n"),
        "x".repeat(mistake::TEXT_MAX + 1),
        "name,disk\n\u{202e}\u{0},1".to_owned(),
        "\r\r\r".to_owned(),
    ] {
        let began = Instant::now();
        let told = mistakes(&text);
        let shown = text.get(..40).unwrap_or(&text);
        assert!(began.elapsed() < Duration::from_secs(5), "{shown}: {:?}", began.elapsed());
        assert!(told.iter().all(|one| one.len() < 2000), "{shown}");
    }
    let began = Instant::now();
    let told = errors(&format!("[{{{object}}}]"));
    assert!(began.elapsed() < Duration::from_secs(5) && told[0].1.len() < 2000, "{told:?}");
    assert!(mistakes(&format!("name\n{rows}"))[0].contains("There are 10000 machines"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_text_is_answered(
        start in prop::sample::select(vec!["", "name,notes\n", "[[machine]]\n", "[{\"name\":", "create-batch ", "Name;Notes;Disk\r\n"]),
        text in any::<String>(),
    ) {
        match read(&format!("{start}{text}"), base()) {
            Ok(batch) => {
                prop_assert!((1..=MACHINES_MAX).contains(&batch.machines.len()));
                for machine in batch.machines {
                    let _ = model::form::operations(&machine.data, &model::form::placeholder_hash);
                }
            }
            Err(mistakes) => prop_assert!(!mistakes.is_empty()),
        }
    }

    /// Whatever a value is, each format that can say it says the same.
    #[test]
    fn every_value_is_the_same_in_every_format(notes in "[ -~äöü€]{0,40}", name in "[a-z][a-z0-9]{0,8}") {
        let json = serde_json::json!([{ "name": name, "notes": notes }]).to_string();
        let csv = format!("name,notes\n{name},\"{}\"", notes.replace('"', "\"\""));
        let quoted = serde_json::to_string(&notes).unwrap();
        let toml = format!("[[machine]]\nname = \"{name}\"\nnotes = {quoted}");
        let command = format!("create-batch {name} 'notes={}'", notes.replace('\'', "'\\''"));
        let notes_of = |text: &str| machines(text)[0].data.get("notes").to_owned();
        for text in [json, csv, toml, command] {
            prop_assert_eq!(notes_of(&text), notes.trim(), "{}", text);
        }
    }
}
