//! Which fields each form has, as data.

use crate::size::{Copies, DiskGib};
use serde::{Deserialize, Serialize};

/// How a field is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// One line.
    Line,
    /// A whole number with its unit, and values offered for one click.
    Number {
        /// The unit, shown behind the number.
        unit: String,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// Values offered.
        presets: Vec<u64>,
    },
    /// Several lines, one item each.
    Lines {
        /// How many lines are shown.
        rows: u8,
    },
    /// A password or another secret: never shown again once posted.
    Password,
    /// Yes or no.
    Tick,
    /// What the page was made from, hidden: posted back as it is.
    Base,
    /// One of the generations of the machine whose page it is.
    Generation,
    /// One of the host names that the page knows.
    Host,
    /// NAT or one of the host's bridges.
    Network,
    /// One of [`crate::machine::Mode::ALL`].
    Mode,
    /// Any of the profiles that the page knows.
    Profiles,
}

impl Entry {
    /// Whether what is entered is a secret.
    pub fn is_secret(&self) -> bool {
        matches!(self, Entry::Password)
    }
}

/// The fields of the forms that belong to no operation: login, setup, account, users. Their pages lay them out by hand.
pub const ACCOUNT: [(&str, Entry); 7] = [
    ("name", Entry::Line),
    // From the setup link, then in a hidden field.
    ("token", Entry::Password),
    ("password", Entry::Password),
    ("password_again", Entry::Password),
    ("old_password", Entry::Password),
    ("new_password", Entry::Password),
    ("new_password_again", Entry::Password),
];

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name in the posted body.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// A sentence below it.
    pub help: &'static str,
    /// How it is entered.
    pub entry: Entry,
    /// Whether it must be filled in.
    pub required: bool,
    /// Its value when the form first opens.
    pub default: &'static str,
}

/// Fields under one heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The fields in order.
    pub fields: Vec<Field>,
}

fn tick(name: &'static str, label: &'static str, help: &'static str) -> Field {
    field(name, label, Entry::Tick, "", help)
}

fn field(
    name: &'static str,
    label: &'static str,
    entry: Entry,
    default: &'static str,
    help: &'static str,
) -> Field {
    Field { name, label, help, entry, required: false, default }
}

/// What an image is composed of.
pub(crate) fn profiles_group() -> Group {
    Group {
        title: "Profiles and mode",
        fields: vec![
            field(
                "profiles",
                "Profiles",
                Entry::Profiles,
                "",
                "What the image contains; “core” is always included.",
            ),
            field("mode", "Mode", Entry::Mode, "immutable", ""),
        ],
    }
}

/// A machine's new name.
pub(crate) fn new_name_group() -> Vec<Group> {
    let help = "Lower-case letters, digits and “-”; also the machine's host name.";
    let name = Field { required: true, ..field("name", "New name", Entry::Line, "", help) };
    vec![Group { title: "Name", fields: vec![name] }]
}

/// What a copy of a machine gets of its own.
pub(crate) fn clone_groups() -> Vec<Group> {
    let help = "Lower-case letters, digits and “-”; also its host name. In the name of several copies, {n} stands for the \
                number of each, as in web-{n}.";
    let name = Field { required: true, ..field("name", "Name of the copy", Entry::Line, "", help) };
    let copies = number("", Copies::MIN, Copies::MAX, &[1, 2, 5, 10]);
    let mut profiles = profiles_group();
    profiles.title = "Profiles";
    profiles.fields.retain(|field| field.name != "mode");
    let mut size = size_group();
    size.set_help("disk", "No smaller than the disk that is copied.");
    let mut network = network_group();
    network.title = "Network and start";
    network.fields.retain(|field| field.name == "network");
    network.fields.push(tick("start", "Start", "Once it is made."));
    vec![
        Group { title: "Name", fields: vec![name, field("copies", "Number of copies", copies, "1", "")] },
        size,
        network,
        profiles,
    ]
}

/// What a machine goes back to.
pub(crate) fn generation_group() -> Vec<Group> {
    let generation = Field { required: true, ..field("generation", "Generation", Entry::Generation, "", "") };
    vec![Group { title: "Roll back to", fields: vec![generation] }]
}

/// Everything about a machine.
pub(crate) fn machine_groups() -> Vec<Group> {
    vec![name_group(), profiles_group(), size_group(), network_group(), trust_group(), options_group()]
}

/// What can be changed about a machine that there is. The name and the host are not for its form.
pub(crate) fn reconfigure_groups() -> Vec<Group> {
    let mut profiles = profiles_group();
    profiles.set_help(
        "mode",
        "Another mode needs new disks: the machine has to be recreated, and loses its data.",
    );
    let mut network = network_group();
    network.insert_after("root_password", tick("remove_root_password", "Remove the console password", ""));
    network.set_help("root_password", "Leave empty to keep what is set; for the serial console only.");
    let mut trust = trust_group();
    trust.insert_after("samba_password", tick("remove_samba", "Remove the Samba user and password", ""));
    trust.set_help("samba_user", "Leave both empty to keep what is set.");
    trust.set_help("samba_password", "");
    let mut size = size_group();
    size.fields.push(field("base", "", Entry::Base, "", ""));
    size.set_help("disk", "Can only become larger.");
    vec![profiles, size, network, trust, options_group()]
}

impl Group {
    fn insert_after(&mut self, name: &str, field: Field) {
        let at = self.fields.iter().position(|f| f.name == name).map_or(self.fields.len(), |at| at + 1);
        self.fields.insert(at, field);
    }

    fn set_help(&mut self, name: &str, help: &'static str) {
        self.fields.iter_mut().filter(|field| field.name == name).for_each(|field| field.help = help);
    }
}

fn name_group() -> Group {
    Group {
        title: "Name and host",
        fields: vec![
            Field {
                required: true,
                ..field(
                    "name",
                    "Name",
                    Entry::Line,
                    "",
                    "Lower-case letters, digits and “-”; also the machine's host name.",
                )
            },
            field("host", "Host", Entry::Host, "", ""),
        ],
    }
}

fn number(unit: &str, min: u64, max: u64, presets: &[u64]) -> Entry {
    Entry::Number { unit: unit.to_owned(), min, max, presets: presets.to_vec() }
}

fn size_group() -> Group {
    Group {
        title: "Size",
        fields: vec![
            field(
                "memory",
                "Memory",
                number("MiB", 128, 4_194_304, &[1024, 2048, 4096, 8192, 16384]),
                "2048",
                "",
            ),
            field("vcpus", "Processors", number("vCPUs", 1, 512, &[1, 2, 4, 8]), "2", ""),
            field(
                "disk",
                "Disk",
                number("GiB", DiskGib::MIN, DiskGib::NEW_MAX, &[20, 30, 50, 100]),
                "30",
                "Takes up only the space that is used; can be enlarged later.",
            ),
        ],
    }
}

fn network_group() -> Group {
    Group {
        title: "Network and access",
        fields: vec![
            field("network", "Network", Entry::Network, "nat", ""),
            field(
                "admin_keys",
                "SSH keys for “admin”",
                Entry::Lines { rows: 3 },
                "",
                "One public key per line. “admin” can become root.",
            ),
            field(
                "user_keys",
                "SSH keys for “user”",
                Entry::Lines { rows: 2 },
                "",
                "One public key per line. “user” cannot become root.",
            ),
            field(
                "root_password",
                "Console password for “root”",
                Entry::Password,
                "",
                "For the serial console only; without one, root cannot log in.",
            ),
            field(
                "tcp_ports",
                "Open TCP ports",
                Entry::Lines { rows: 2 },
                "22",
                "One port or range, such as 8000:8010, per line.",
            ),
            field("udp_ports", "Open UDP ports", Entry::Lines { rows: 1 }, "", ""),
            field(
                "static_address",
                "Static address",
                Entry::Line,
                "",
                "Such as 192.168.1.20/24,192.168.1.1 with the gateway; leave empty for DHCP.",
            ),
            field(
                "dns",
                "Name servers",
                Entry::Lines { rows: 1 },
                "",
                "One address per line; leave empty to use those from DHCP.",
            ),
            field(
                "hosts",
                "Extra /etc/hosts entries",
                Entry::Lines { rows: 1 },
                "",
                "An address and its names per line.",
            ),
        ],
    }
}

fn trust_group() -> Group {
    Group {
        title: "Certificates and shares",
        fields: vec![
            field(
                "certificates",
                "Additional certificate authorities",
                Entry::Lines { rows: 2 },
                "",
                "Certificates in PEM format, trusted in addition to the usual ones.",
            ),
            field(
                "samba_shares",
                "Samba shares",
                Entry::Lines { rows: 1 },
                "",
                "With the profile samba-mount; one per line: /var/mnt/films //nas/films, then options.",
            ),
            field("samba_user", "Samba user", Entry::Line, "", "A name, or DOMAIN\\name."),
            field(
                "samba_password",
                "Samba password",
                Entry::Password,
                "",
                "Stored with the machine's configuration; readable only by the portal and by root in the machine.",
            ),
        ],
    }
}

fn options_group() -> Group {
    Group {
        title: "Options",
        fields: vec![
            tick("autostart", "Autostart", "The host starts the machine whenever it boots."),
            tick(
                "delete_protection",
                "Delete protection",
                "While it is on, the machine can be neither destroyed nor purged.",
            ),
            field("notes", "Notes", Entry::Lines { rows: 4 }, "", "Shown on the machine's page."),
        ],
    }
}
