//! A portal that answers every query, with hostile text wherever there can be text.

use async_trait::async_trait;
use model::account::*;
use model::audit::*;
use model::change::{Change, Part, When};
use model::closure::{ClosureDiff, Growth, Notable};
use model::console::Boot;
use model::fault::Fault;
use model::forecast::{Forecast, Outlook};
use model::form::FormData;
use model::host::*;
use model::image::*;
use model::job::*;
use model::machine::*;
use model::operation::{Operation, OperationKind};
use model::plan::{Consent, Plan, PlannedStep};
use model::portal::{Browser, Choices, LoggedIn, Portal, Submitted};
use model::spec::Spec;
use model::time::Time;
use model::view::image::*;
use model::view::job::*;
use model::view::machine::*;
use uuid::Uuid;

/// What must never become markup.
pub const HOSTILE: &str = "<script>alert(1)</script>\" onload=\"x' & </textarea><b>";

/// The search of a list on which no record is damaged.
pub const SOUND: &str = "sound";
/// A job that is not over; every other one has failed.
pub const RUNNING: Uuid = Uuid::from_u128(8);

pub const ID: Uuid = Uuid::from_u128(7);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAtkeqGyVnUaYpkXeUOKuJfQfCfIF/XZfKpM4tqVQXJT <script>alert(1)</script>";

/// A user with this role.
pub fn actor(role: Role) -> Actor {
    let user = SessionUser { id: UserId(ID), name: "ada".parse().unwrap(), role };
    Actor { user: Some(user), from: None }
}

pub struct World {
    pub machines: usize,
}

pub fn badge(state: JobState) -> JobBadge {
    JobBadge {
        id: JobId(ID),
        title: HOSTILE.to_owned(),
        state,
        step: Some(HOSTILE.to_owned()),
        cancelling: false,
        done: 2,
        total: 7,
    }
}

pub fn row(n: usize) -> MachineRow {
    let addresses = vec![model::address::Address {
        source: model::address::AddressSource::Agent,
        ip: "192.168.122.20".parse().unwrap(),
    }];
    let figures = Figures {
        cpu_percent: Some(12.3),
        memory_used: Some(1 << 30),
        disk_used: Some(1 << 30),
        disk_size: Some(30 << 30),
        disk_read_rate: Some(5),
        disk_write_rate: Some(6),
        net_rx_rate: Some(7),
        net_tx_rate: Some(8),
    };
    MachineRow {
        id: MachineId(Uuid::from_u128(n as u128)),
        name: format!("web-{n}").parse().unwrap(),
        owner: HOSTILE.to_owned(),
        host: "local".parse().unwrap(),
        profiles: "docker".parse().unwrap(),
        mode: Mode::Immutable,
        memory: "2048".parse().unwrap(),
        vcpus: "2".parse().unwrap(),
        observed: Observed {
            addresses,
            figures,
            guest: Some(Box::new(model::guest::Guest {
                booted: true,
                image: Some(model::guest::GuestImage {
                    profiles: "docker".parse().unwrap(),
                    mode: Mode::Mutable,
                    revision: Some(HOSTILE.to_owned()),
                    date: Some("2026-05-22".to_owned()),
                }),
            })),
            warning: Some(HOSTILE.to_owned()),
            ..Observed::only(MachineState::Running)
        },
        update_available: true,
        pending: true,
        job: (n == 0).then(|| badge(JobState::Running)),
    }
}

fn summary(state: JobState) -> JobSummary {
    JobSummary {
        badge: badge(state),
        kind: OperationKind::Create,
        machine: Some("web-1".parse().unwrap()),
        machine_now: Some("web".parse().unwrap()),
        actor: HOSTILE.to_owned(),
        created: Time(1_000),
        began: Some(Time(4_000)),
        ended: state.is_over().then_some(Time(9_000)),
    }
}

pub fn job(state: JobState) -> JobView {
    let step = |state| StepView {
        name: "image.build".to_owned(),
        what: HOSTILE.to_owned(),
        state,
        began: Some(Time(1)),
        ended: Some(Time(2_500)),
    };
    let failure = Failure {
        step: "image.build".to_owned(),
        message: HOSTILE.to_owned(),
        build: Some(BuildFailure { derivation: HOSTILE.to_owned(), last_lines: vec![HOSTILE.to_owned()] }),
    };
    let progress = BuildProgress {
        to_build: 4,
        built: 1,
        running: vec![(HOSTILE.to_owned(), None)],
        ..Default::default()
    };
    JobView {
        summary: summary(state),
        steps: [
            StepState::Done,
            StepState::Running,
            StepState::Failed,
            StepState::Undone,
            StepState::Pending,
        ]
        .map(step)
        .into(),
        failure: Some(failure.clone()),
        stuck: Some(failure),
        give_up: Some(HOSTILE.to_owned()),
        progress: Some(progress),
        reproduce: Some(HOSTILE.to_owned()),
        can_cancel: true,
        can_retry: true,
        form_again: true,
    }
}

pub fn spec() -> Spec {
    let identity = model::identity::Identity { admin_keys: vec![KEY.parse().unwrap()], ..Default::default() };
    Spec {
        name: "web-1".parse().unwrap(),
        host: "local".parse().unwrap(),
        profiles: "docker".parse().unwrap(),
        mode: Mode::Mutable,
        memory: "2048".parse().unwrap(),
        vcpus: "2".parse().unwrap(),
        disk: "30".parse().unwrap(),
        network: "bridge:br0".parse().unwrap(),
        identity,
        notes: HOSTILE.parse().unwrap(),
        autostart: true,
        delete_protection: true,
    }
}

pub fn generation(number: u32) -> GenerationView {
    GenerationView {
        number: GenerationNumber(number),
        image: ImageId(ID),
        profiles: spec().profiles,
        made: Time(1),
        made_by: HOSTILE.to_owned(),
        is_current: number == 2,
    }
}

fn failed() -> FailedJob {
    FailedJob { id: JobId(ID), title: HOSTILE.to_owned(), ended: Time(9_000), why: HOSTILE.to_owned() }
}

fn image() -> ImageSummary {
    ImageSummary {
        id: ImageId(ID),
        profiles: "docker,python".parse().unwrap(),
        mode: Mode::Immutable,
        store_path: HOSTILE.to_owned(),
        size: 1 << 30,
        closure_size: Some(2 << 30),
        source: "abc".to_owned(),
        current: true,
        built: Time(5),
        built_by: Some(HOSTILE.to_owned()),
        job: Some(JobId(ID)),
        machines: Vec::new(),
        users: 0,
        failed_removal: Some(failed()),
    }
}

pub fn closure_diff() -> ClosureDiff {
    let change = |name: &str, from: &[&str], to: &[&str]| model::closure::Change {
        name: name.to_owned(),
        from: from.iter().map(|v| (*v).to_owned()).collect(),
        to: to.iter().map(|v| (*v).to_owned()).collect(),
        growth: Growth(-(3 << 20)),
    };
    let many = (0..600).map(|n| change(&format!("package-{n}"), &[], &["1.0"])).collect();
    ClosureDiff {
        changed: vec![change(HOSTILE, &["8.1", HOSTILE], &["8.2"])],
        added: many,
        removed: vec![change("etc", &[], &[])],
        rebuilt: 2,
        size: (3 << 30, 2 << 30),
        kernel: Notable { from: Some("6.12.1".to_owned()), to: Some("6.12.3".to_owned()) },
        systemd: Notable::default(),
    }
}

pub fn plan(title: &str, confirm: bool) -> Plan {
    Plan {
        title: title.to_owned(),
        machine: None,
        changes: vec![HOSTILE.to_owned()],
        steps: vec![PlannedStep { name: "image.build".to_owned(), what: HOSTILE.to_owned() }],
        downtime: Some(HOSTILE.to_owned()),
        keeps: vec![HOSTILE.to_owned()],
        loses: vec!["the data disk of 30 GiB".to_owned()],
        warnings: vec![HOSTILE.to_owned()],
        confirm: confirm.then(|| "web-1".parse().unwrap()),
    }
}

pub fn host() -> HostView {
    HostView {
        id: HostId(ID),
        name: "local".parse().unwrap(),
        kind: "libvirt".to_owned(),
        target: HOSTILE.to_owned(),
        reachable: true,
        findings: vec![Finding {
            name: "network".to_owned(),
            level: Level::Error,
            what: HOSTILE.to_owned(),
            fix: Some(HOSTILE.to_owned()),
        }],
        checked: Some(Time(3)),
        machines: 1,
        bridges: vec!["br0".to_owned()],
    }
}

fn profiles() -> Profiles {
    let meta = |needs: &[&str]| ProfileMeta {
        title: HOSTILE.to_owned(),
        summary: HOSTILE.to_owned(),
        brings: vec![HOSTILE.to_owned()],
        needs: needs.iter().map(|n| n.parse().unwrap()).collect(),
        conflicts: vec!["podman".parse().unwrap()],
        ports: ProfilePorts::default(),
        modes: Mode::ALL.to_vec(),
        size: SizeClass::Medium,
    };
    [("core", meta(&[])), ("docker", meta(&[])), ("podman", meta(&["docker"]))]
        .map(|(name, meta)| (name.parse().unwrap(), meta))
        .into()
}

#[async_trait]
impl Portal for World {
    async fn plan(&self, _: &Actor, operation: &Operation) -> Result<Plan, Fault> {
        if let Operation::OnMachine { machine, .. } = operation
            && !["web-1", "broken"].contains(&machine.as_str())
        {
            return Err(Fault::not_found("machine"));
        }
        Ok(plan(&operation.title(), operation.kind() == OperationKind::Purge))
    }
    async fn submit(&self, _: &Actor, _: Operation, _: Consent) -> Result<Submitted, Fault> {
        Err(Fault::refused("pages submit nothing"))
    }
    async fn machines(&self, actor: &Actor, filter: &MachineFilter) -> Result<MachinePage, Fault> {
        actor.user.as_ref().ok_or(Fault::Unauthenticated)?;
        let rows: Vec<MachineRow> = (0..self.machines).map(row).collect();
        let total = self.machines as u64;
        let unreadable = UnreadableMachine {
            name: "broken".parse().unwrap(),
            owner: HOSTILE.to_owned(),
            host: "local".parse().unwrap(),
        };
        let unreadable = if filter.search == SOUND { Vec::new() } else { vec![unreadable] };
        Ok(MachinePage { rows, matching: total, total, unreadable })
    }
    async fn machine(&self, _: &Actor, name: &MachineName) -> Result<MachineDetail, Fault> {
        if name.as_str() == "broken" {
            return Err(Fault::refused("The record of broken cannot be read."));
        }
        // The second one runs and has to be off to be renamed.
        if !["web-1", "web-2"].contains(&name.as_str()) {
            return Err(Fault::not_found("machine"));
        }
        let available = |kind: &OperationKind| Available {
            kind: *kind,
            refused: (*kind == OperationKind::Resume
                || *kind == OperationKind::Rename && name.as_str() == "web-2")
                .then(|| HOSTILE.to_owned()),
        };
        Ok(MachineDetail {
            row: row(if name.as_str() == "web-2" { 2 } else { 1 }),
            applied: Spec { memory: "1024".parse().unwrap(), ..spec() },
            spec: spec(),
            has_root_password: true,
            has_samba_credentials: true,
            hardware: HardwareIds {
                uuid: ID,
                mac: "52:54:00:12:34:56".parse().unwrap(),
                machine_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            },
            image: Some(image()),
            generations: [2, 1].map(generation).into(),
            next_image: None,
            created: Time(1),
            jobs: vec![summary(JobState::Failed)],
            failed: Some(failed()),
            pending: vec![Change { part: Part::Hardware, when: When::Restart, what: HOSTILE.to_owned() }],
            actions: OperationKind::ALL.iter().skip(3).map(available).collect(),
        })
    }
    async fn boots(&self, _: &Actor, _: &MachineName) -> Result<Vec<Boot>, Fault> {
        Ok(vec![Boot { began: Time(1), bytes: 2048 }])
    }
    async fn jobs(&self, _: &Actor, _: &JobFilter) -> Result<Vec<JobSummary>, Fault> {
        Ok(vec![summary(JobState::Running), summary(JobState::Succeeded)])
    }
    async fn job(&self, _: &Actor, id: JobId) -> Result<JobView, Fault> {
        Ok(job(if id == JobId(RUNNING) { JobState::Running } else { JobState::Failed }))
    }
    async fn cancel(&self, _: &Actor, _: JobId) -> Result<(), Fault> {
        Ok(())
    }
    async fn cancel_all(&self, _: &Actor, _: UserId) -> Result<usize, Fault> {
        Ok(0)
    }
    async fn give_up(&self, _: &Actor, _: JobId) -> Result<(), Fault> {
        Ok(())
    }
    async fn retry(&self, _: &Actor, id: JobId) -> Result<Submitted, Fault> {
        Ok(Submitted { job: id })
    }
    async fn form_of_job(&self, _: &Actor, _: JobId) -> Result<FormData, Fault> {
        Ok(model::form::from_spec(&spec()))
    }
    async fn choices(&self, _: &Actor) -> Result<Choices, Fault> {
        let common = vec!["core".parse().unwrap(), "docker,podman".parse().unwrap()];
        Ok(Choices { profiles: profiles(), common, hosts: vec![host()], generations: Vec::new() })
    }
    async fn images(&self, _: &Actor) -> Result<Vec<ImageSummary>, Fault> {
        let of = |n, built, mode| ImageSummary {
            id: ImageId(Uuid::from_u128(n)),
            built: Time(built),
            mode,
            ..image()
        };
        Ok(vec![image(), of(8, 3, Mode::Immutable), of(9, 4, Mode::Mutable)])
    }
    async fn image(&self, _: &Actor, _: ImageId) -> Result<ImageSummary, Fault> {
        Ok(image())
    }
    async fn forecast(&self, _: &Actor, _: &ProfileSet, _: Mode) -> Result<Forecast, Fault> {
        Ok(Forecast { outlook: Outlook::Unknown(HOSTILE.to_owned()), usual: Some(250_000) })
    }
    async fn closure_diff(&self, _: &Actor, from: ImageId, to: ImageId) -> Result<ImageDiff, Fault> {
        let closure = if from == to { Ok(closure_diff()) } else { Err(HOSTILE.to_owned()) };
        Ok(ImageDiff { from: image(), to: image(), closure })
    }
    async fn hosts(&self, _: &Actor) -> Result<Vec<HostView>, Fault> {
        Ok(vec![host()])
    }
    async fn check_host(&self, _: &Actor, _: &HostName) -> Result<HostView, Fault> {
        Ok(host())
    }
    async fn audit(&self, _: &Actor, _: &AuditFilter) -> Result<AuditPage, Fault> {
        let row = AuditRow {
            seq: 1,
            began: Time(1),
            ended: Some(Time(2)),
            actor: Some(HOSTILE.to_owned()),
            from: Some(HOSTILE.to_owned()),
            action: HOSTILE.to_owned(),
            subject: Some(HOSTILE.to_owned()),
            outcome: Outcome::Denied,
            detail: Some(HOSTILE.to_owned()),
            job: Some(JobId(ID)),
        };
        Ok(AuditPage { rows: vec![row], next: Some(1), warning: None })
    }
    async fn verify_audit(&self, _: &Actor) -> Result<ChainState, Fault> {
        Ok(ChainState::Broken { at: 3 })
    }
    async fn needs_setup(&self) -> Result<bool, Fault> {
        Ok(self.machines == 0)
    }
    async fn is_setup_token(&self, token: &Secret) -> Result<bool, Fault> {
        Ok(token.reveal() == "token")
    }
    async fn setup(
        &self,
        _: &Actor,
        _: &Secret,
        _: &str,
        _: &Secret,
        _: &Browser<'_>,
    ) -> Result<LoggedIn, Fault> {
        Err(Fault::Unauthenticated)
    }
    async fn login(&self, _: &Actor, _: &str, _: &Secret, _: &Browser<'_>) -> Result<LoggedIn, Fault> {
        Err(Fault::Unauthenticated)
    }
    async fn session(&self, _: &Secret) -> Result<Option<SessionUser>, Fault> {
        Ok(None)
    }
    async fn logout(&self, _: &Actor, _: &Secret) -> Result<(), Fault> {
        Ok(())
    }
    async fn change_password(&self, _: &Actor, _: &Secret, _: &Secret, _: &Secret) -> Result<(), Fault> {
        Ok(())
    }
    async fn sessions(&self, _: &Actor, _: &Secret) -> Result<Vec<SessionView>, Fault> {
        let session = |current| SessionView {
            handle: "h".to_owned(),
            began: Time(1),
            used: Time(2),
            from: Some(HOSTILE.to_owned()),
            agent: Some(HOSTILE.to_owned()),
            current,
        };
        Ok(vec![session(true), session(false)])
    }
    async fn end_session(&self, _: &Actor, _: &str) -> Result<(), Fault> {
        Ok(())
    }
    async fn ticket(&self, _: &Actor, _: TicketPurpose) -> Result<Secret, Fault> {
        Ok(Secret::new("t".to_owned()))
    }
    async fn users(&self, _: &Actor) -> Result<Vec<UserView>, Fault> {
        let user = |n: u128, disabled| UserView {
            id: UserId(Uuid::from_u128(n)),
            name: "bob".parse().unwrap(),
            role: Role::Member,
            disabled,
            created: Time(1),
            last_login: None,
            machines: 3,
        };
        Ok(vec![user(7, false), user(8, true)])
    }
    async fn add_user(&self, _: &Actor, _: &str, _: Role, _: &Secret) -> Result<(), Fault> {
        Ok(())
    }
    async fn set_role(&self, _: &Actor, _: UserId, _: Role) -> Result<(), Fault> {
        Ok(())
    }
    async fn set_disabled(&self, _: &Actor, _: UserId, _: bool) -> Result<(), Fault> {
        Ok(())
    }
    async fn user(&self, _: &Actor, _: &UserName) -> Result<UserView, Fault> {
        Err(Fault::not_found("user"))
    }
}
