//! Of manifests and their differences.

use super::*;
use proptest::prelude::*;

fn closure(kernel: &str, packages: &[(&str, u64)]) -> Closure {
    let packages = packages.iter().map(|(name, size)| {
        let hash = format!("\"hash\":[\"{size:016}\",\"0123456789abcdfg\"]");
        format!("{{\"name\":\"{name}\",\"size\":{size},{hash}}}")
    });
    let packages: Vec<String> = packages.collect();
    let text = format!(
        "{{\"version\":1,\"kernel\":\"{kernel}\",\"systemd\":\"258\",\"packages\":[{}]}}",
        packages.join(",")
    );
    Closure::parse(text.as_bytes()).unwrap()
}

fn names(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.name.as_str()).collect()
}

#[test]
fn names_are_split_as_nix_does_and_outputs_belong_to_their_package() {
    for (text, name, version) in [
        ("bash-interactive-5.2p37", "bash-interactive", "5.2p37"),
        ("linux-6.12.3-modules", "linux", "6.12.3"),
        ("glibc-2.40-66", "glibc", "2.40-66"),
        ("gcc-14.3.0-lib", "gcc", "14.3.0"),
        ("wine-9.0-lib32", "wine", "9.0"),
        ("python3.13-idna-3.10", "python3.13-idna", "3.10"),
        ("apache-httpd-2.0.48", "apache-httpd", "2.0.48"),
        ("fuse-overlayfs-0-unstable-2024-01-01", "fuse-overlayfs", "0-unstable-2024-01-01"),
        ("unit-dbus.service", "unit-dbus.service", ""),
        ("etc-profile", "etc-profile", ""),
        ("-1.0", "-1.0", ""),
        ("x-", "x-", ""),
        ("x--bin", "x", "-bin"),
        ("é-1é", "é", "1é"),
        ("", "", ""),
    ] {
        assert_eq!(split_name(text), (name, version), "{text}");
    }
}

#[test]
fn a_manifest_is_read_with_and_without_store_paths() {
    let nixos = closure("6.12.3", &[("bash-interactive-5.2p37", 7)]);
    assert_eq!((nixos.kernel.as_deref(), nixos.systemd.as_deref()), (Some("6.12.3"), Some("258")));
    let hash = nixos.packages[0].hash.as_deref();
    assert_eq!(hash, Some("00000000000000070123456789abcdfg"));
    let debian = r#"{"version":1,"kernel":"","packages":[
        {"name":"libglib2.0-0","version":"2.74.6-2+deb12u7","size":3,"later":{}}]}"#;
    let debian = Closure::parse(debian.as_bytes()).unwrap();
    let package = Package {
        name: "libglib2.0-0".to_owned(),
        version: "2.74.6-2+deb12u7".to_owned(),
        size: 3,
        hash: None,
    };
    assert_eq!(debian, Closure { kernel: None, systemd: None, packages: vec![package] });
}

#[test]
fn what_is_no_manifest_is_refused_and_says_why() {
    let long = "x".repeat(TEXT_MAX + 1);
    let many = "{},".repeat(PACKAGES_MAX + 1);
    for (text, why) in [
        ("", "not valid"),
        ("[]", "not valid"),
        (r#"{"version":1,"packages":[{"name":"a","size":-1}]}"#, "not valid"),
        (r#"{"version":2,"packages":[]}"#, "later version"),
        (r#"{"version":1,"packages":[{"name":"","size":1}]}"#, "not one"),
        (r#"{"version":1,"packages":[{"name":"a b","size":1}]}"#, "not one"),
        (r#"{"version":1,"packages":[{"name":"a\u001b[31m","size":1}]}"#, "not one"),
        (r#"{"version":1,"packages":[{"name":"a\u202e","size":1}]}"#, "not one"),
        (r#"{"version":1,"kernel":"6\n7","packages":[]}"#, "not one"),
        (&format!(r#"{{"version":1,"packages":[{{"name":"{long}","size":1}}]}}"#), "not one"),
        (&format!(r#"{{"version":1,"packages":[{many}{{}}]}}"#), "more than 50000"),
    ] {
        let refused = Closure::parse(text.as_bytes()).unwrap_err();
        assert!(refused.0.contains(why), "{refused} for {:.100}", text);
    }
    let blanks = vec![b' '; usize::try_from(MANIFEST_MAX).unwrap() + 1];
    assert!(Closure::parse(&blanks).unwrap_err().0.contains("more than"));
}

#[test]
fn a_difference_is_told_by_package_and_in_one_line() {
    let before =
        closure("6.12.1", &[("linux-6.12.1", 10), ("linux-6.12.1-modules", 5), ("nano-8.1", 3), ("etc", 1)]);
    let after = closure(
        "6.12.3",
        &[("linux-6.12.3", 11 << 20), ("linux-6.12.3-modules", 5), ("jq-1.7", 2), ("jq-1.8", 2), ("etc", 2)],
    );
    let diff = before.diff(&after);
    assert_eq!((names(&diff.changed), names(&diff.removed), diff.rebuilt), (vec!["linux"], vec!["nano"], 1));
    let jq = Change {
        name: "jq".to_owned(),
        from: vec![],
        to: vec!["1.7".to_owned(), "1.8".to_owned()],
        growth: Growth(4),
    };
    assert_eq!(diff.added, [jq]);
    assert_eq!(diff.to_string(), "1 changed, 1 added, 1 removed, kernel 6.12.1 → 6.12.3, +11 MiB");
    assert_eq!(diff.systemd.to_string(), "258");
    let rebuilt = closure("6.12.1", &[("etc", 1)]).diff(&closure("6.12.1", &[("etc", 2)]));
    assert_eq!(rebuilt.to_string(), "1 rebuilt in the same version, +1 B");
    assert_eq!(before.diff(&before).to_string(), "the same packages");
    assert_eq!(Growth::between(u64::MAX, 0).to_string(), "−8192 PiB");
    assert_eq!(Growth(0).to_string(), "±0 B");
}

prop_compose! {
    fn any_closure()(
        packages in prop::collection::vec(("[a-c]", "([1-2](\\.[0-9])?)?", any::<u64>(), prop::option::of("[x-z]")), 0..12),
        kernel in prop::option::of("[1-2]"),
    ) -> Closure {
        let package = |(name, version, size, hash)| Package { name, version, size, hash };
        Closure { kernel, systemd: None, packages: packages.into_iter().map(package).collect() }
    }
}

proptest! {
    #[test]
    fn a_name_is_its_parts(text in "[ -~]{0,40}") {
        let (name, version) = split_name(&text);
        prop_assert!(text.starts_with(name) && (name.is_empty() == text.is_empty()));
        if !version.is_empty() {
            let joined = format!("{name}-{version}");
            let rest = text.strip_prefix(&joined);
            let is_whole = rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(is_output));
            prop_assert!(is_whole, "{text}");
            prop_assert!(!version.starts_with(|c: char| c.is_ascii_alphabetic()));
        }
    }

    #[test]
    fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        let _ = Closure::parse(&bytes);
        let manifest = br#"{"version":1,"kernel":"6","packages":[{"name":"a-1","size":1,"hash":["x","y"]}]}"#;
        let _ = Closure::parse(&manifest[..cut.min(manifest.len())]);
    }

    #[test]
    fn the_way_back_is_the_same_the_other_way_round(a in any_closure(), b in any_closure()) {
        let (there, back) = (a.diff(&b), b.diff(&a));
        prop_assert_eq!(names(&there.added), names(&back.removed));
        prop_assert_eq!(names(&there.removed), names(&back.added));
        prop_assert_eq!(there.rebuilt, back.rebuilt);
        prop_assert_eq!(there.size.0, back.size.1);
        for (one, other) in there.changed.iter().zip(&back.changed) {
            prop_assert_eq!((&one.name, &one.from, &one.to), (&other.name, &other.to, &other.from));
            prop_assert_eq!(one.growth.0, -other.growth.0);
            prop_assert!(one.from != one.to);
        }
        prop_assert_eq!(there.changed.len(), back.changed.len());
        prop_assert!(a.diff(&a).is_empty());
        prop_assert_eq!(there.is_empty(), back.is_empty());
    }

    #[test]
    fn every_name_has_one_fate(a in any_closure(), b in any_closure()) {
        let diff = a.diff(&b);
        let of = |closure: &Closure| closure.packages.iter().map(|p| p.name.clone()).collect::<BTreeSet<_>>();
        let (before, after) = (of(&a), of(&b));
        let named = |list: &[Change]| list.iter().map(|c| c.name.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(named(&diff.added), after.difference(&before).cloned().collect());
        prop_assert_eq!(named(&diff.removed), before.difference(&after).cloned().collect());
        let stays = before.intersection(&after).count();
        prop_assert!(diff.changed.len() + diff.rebuilt <= stays);
    }
}
