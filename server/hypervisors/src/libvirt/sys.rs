//! The few calls of libvirt that crate `virt` does not wrap, or wraps so that memory leaks: event registration, stream
//! callbacks, bulk statistics, interface addresses.
//!
//! The only unsafe code of this package. Everything that crosses it is copied at once: no pointer of libvirt's outlives the
//! function that received it. Callbacks run on the event-loop thread (`events.rs`) and must neither block nor panic.

#![expect(unsafe_code, reason = "libvirt is a C library; this module is the border")]

pub mod jobs;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::stream::Stream;
use virt_sys as c;

/// Raw libvirt events about a domain or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawEvent {
    /// `virDomainEventType` and its detail.
    Lifecycle { uuid: Uuid, event: u32, detail: u32 },
    /// The guest was reset or rebooted itself.
    Reboot { uuid: Uuid },
    /// `virConnectDomainEventAgentLifecycleState`.
    Agent { uuid: Uuid, state: u32 },
    /// `virConnectCloseReason`: the connection is gone.
    Closed { reason: u32 },
}

/// Receives events on the event-loop thread.
pub type EventSink = Arc<dyn Fn(RawEvent) + Send + Sync>;
/// Receives a stream's event mask on the event-loop thread.
pub type StreamSink = Arc<dyn Fn(c_uint) + Send + Sync>;

/// The callbacks registered on one connection; dropping it removes them, which talks to the host.
pub struct Registration {
    connect: Connect,
    callbacks: Vec<c_int>,
    watches_close: bool,
}

impl Registration {
    /// Hands lifecycle, reboot and agent events of all domains, and the end of the connection, to `sink`.
    ///
    /// # Errors
    /// When the driver has no lifecycle events. The others are left out where a driver lacks them.
    pub fn new(connect: &Connect, sink: &EventSink) -> Result<Self, Error> {
        let mut made = Self { connect: connect.clone(), callbacks: Vec::new(), watches_close: false };
        made.add(c::VIR_DOMAIN_EVENT_ID_LIFECYCLE, erase_lifecycle(on_lifecycle), sink)?;
        for (id, callback) in [
            (c::VIR_DOMAIN_EVENT_ID_REBOOT, on_reboot as Generic),
            (c::VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, erase_agent(on_agent)),
        ] {
            if let Err(missing) = made.add(id, callback, sink) {
                tracing::debug!(event = id, error = missing.message(), "this driver lacks an event");
            }
        }
        made.watch_close(sink);
        Ok(made)
    }

    /// Hands only the end of the connection to `sink`.
    pub fn of_close(connect: &Connect, sink: &EventSink) -> Self {
        let mut made = Self { connect: connect.clone(), callbacks: Vec::new(), watches_close: false };
        made.watch_close(sink);
        made
    }

    fn watch_close(&mut self, sink: &EventSink) {
        let opaque = boxed(sink);
        // SAFETY: the connection is alive; `opaque` is a `Box<EventSink>` that `free_sink` or the branch below ends once.
        let code = unsafe {
            c::virConnectRegisterCloseCallback(self.connect.as_ptr(), Some(on_close), opaque, Some(free_sink))
        };
        if code < 0 {
            // SAFETY: libvirt refused and did not keep `opaque`, so it is still ours.
            unsafe { free_sink(opaque) };
        }
        self.watches_close = code >= 0;
    }

    fn add(&mut self, id: c_uint, callback: Generic, sink: &EventSink) -> Result<(), Error> {
        let opaque = boxed(sink);
        // SAFETY: the connection is alive, no domain means all of them, `callback` has the signature that libvirt documents
        // for event `id`, and `opaque` is a `Box<EventSink>` that `free_sink` or the branch below ends exactly once.
        let code = unsafe {
            c::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                id.cast_signed(),
                Some(callback),
                opaque,
                Some(free_sink),
            )
        };
        if code < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt refused and did not keep `opaque`, so it is still ours.
            unsafe { free_sink(opaque) };
            return Err(error);
        }
        self.callbacks.push(code);
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Failures are expected here: a lost connection cannot be notified. libvirt forgets the callbacks all the same.
        for id in self.callbacks.drain(..) {
            // SAFETY: the connection is alive (we hold a reference) and `id` came from it.
            unsafe { c::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), id) };
        }
        if self.watches_close {
            // SAFETY: as above, and this is the callback that was registered.
            unsafe { c::virConnectUnregisterCloseCallback(self.connect.as_ptr(), Some(on_close)) };
        }
    }
}

/// The signature under which libvirt takes every domain callback.
type Generic = unsafe extern "C" fn(c::virConnectPtr, c::virDomainPtr, *mut c_void);
type Lifecycle = unsafe extern "C" fn(c::virConnectPtr, c::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;
type Agent = unsafe extern "C" fn(c::virConnectPtr, c::virDomainPtr, c_int, c_int, *mut c_void);

fn erase_lifecycle(callback: Lifecycle) -> Generic {
    // SAFETY: function pointers have one size; libvirt casts it back by the event's id (macro VIR_DOMAIN_EVENT_CALLBACK).
    unsafe { std::mem::transmute::<Lifecycle, Generic>(callback) }
}

fn erase_agent(callback: Agent) -> Generic {
    // SAFETY: as above.
    unsafe { std::mem::transmute::<Agent, Generic>(callback) }
}

fn boxed(sink: &EventSink) -> *mut c_void {
    Box::into_raw(Box::new(Arc::clone(sink))).cast()
}

unsafe extern "C" fn free_sink(opaque: *mut c_void) {
    // SAFETY: `opaque` came from `boxed`, and libvirt calls this once, after the last callback.
    drop(unsafe { Box::from_raw(opaque.cast::<EventSink>()) });
}

/// Gives the event of `domain` to the sink behind `opaque`.
///
/// # Safety
/// `domain` must be alive and `opaque` a registered `Box<EventSink>`, as libvirt promises its callbacks.
unsafe fn deliver(domain: c::virDomainPtr, opaque: *mut c_void, event: impl FnOnce(Uuid) -> RawEvent) {
    // SAFETY: promised by the caller; the sink lives until `free_sink`.
    let (uuid, sink) = unsafe { (uuid_of(domain), &*opaque.cast::<EventSink>()) };
    if let Some(uuid) = uuid {
        sink(event(uuid));
    }
}

unsafe extern "C" fn on_lifecycle(
    _: c::virConnectPtr,
    domain: c::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let (event, detail) = (event.cast_unsigned(), detail.cast_unsigned());
    // SAFETY: libvirt calls this with a live domain and our `opaque`.
    unsafe { deliver(domain, opaque, |uuid| RawEvent::Lifecycle { uuid, event, detail }) };
    0
}

unsafe extern "C" fn on_reboot(_: c::virConnectPtr, domain: c::virDomainPtr, opaque: *mut c_void) {
    // SAFETY: libvirt calls this with a live domain and our `opaque`.
    unsafe { deliver(domain, opaque, |uuid| RawEvent::Reboot { uuid }) };
}

unsafe extern "C" fn on_agent(
    _: c::virConnectPtr,
    domain: c::virDomainPtr,
    state: c_int,
    _reason: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt calls this with a live domain and our `opaque`.
    unsafe { deliver(domain, opaque, |uuid| RawEvent::Agent { uuid, state: state.cast_unsigned() }) };
}

unsafe extern "C" fn on_close(_: c::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // SAFETY: `opaque` is our registered sink.
    let sink = unsafe { &*opaque.cast::<EventSink>() };
    sink(RawEvent::Closed { reason: reason.cast_unsigned() });
}

/// # Safety
/// `domain` must be alive.
unsafe fn uuid_of(domain: c::virDomainPtr) -> Option<Uuid> {
    let mut bytes = [0_u8; c::VIR_UUID_BUFLEN as usize];
    // SAFETY: promised by the caller; the buffer has the length that libvirt writes.
    let code = unsafe { c::virDomainGetUUID(domain, bytes.as_mut_ptr()) };
    (code == 0).then(|| Uuid::from_bytes(bytes))
}

/// Copies a string that stays libvirt's.
///
/// # Safety
/// `text` must be null or a NUL-terminated string.
unsafe fn copied(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: promised by the caller, and checked for null.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The sinks of watched streams. libvirt is given a number instead of a pointer: its remote driver does not call the
/// function that frees what a stream's callback was given, so a pointer would leak with each console.
static WATCHED: Mutex<BTreeMap<usize, StreamSink>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A watched stream. [`StreamWatch::end`] removes the callback; dropping it only makes it ignore events.
pub struct StreamWatch(usize);

impl StreamWatch {
    /// Calls `sink` with the mask of what happened whenever one of `events` happens on a non-blocking stream.
    ///
    /// # Errors
    /// When the driver's streams have no events.
    pub fn new(stream: &Stream, events: c_uint, sink: StreamSink) -> Result<Self, Error> {
        let watch = Self(NEXT.fetch_add(1, Ordering::Relaxed));
        watched().insert(watch.0, sink);
        // SAFETY: the stream is alive, and the opaque pointer is a number that is never followed.
        let code = unsafe {
            c::virStreamEventAddCallback(
                stream.as_ptr(),
                events.cast_signed(),
                Some(on_stream),
                ptr::without_provenance_mut(watch.0),
                None,
            )
        };
        if code < 0 { Err(Error::last_error()) } else { Ok(watch) }
    }

    /// Removes the callback. Talks to the host.
    pub fn end(self, stream: &Stream) {
        if let Err(error) = stream.event_remove_callback() {
            tracing::debug!(error = error.message(), "a stream's callback was already gone");
        }
    }
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        // Bound first: the sink may own a stream, whose end must not happen under the lock.
        let sink = watched().remove(&self.0);
        drop(sink);
    }
}

fn watched() -> MutexGuard<'static, BTreeMap<usize, StreamSink>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn on_stream(_: c::virStreamPtr, events: c_int, opaque: *mut c_void) {
    let sink = watched().get(&opaque.addr()).cloned();
    if let Some(sink) = sink {
        sink(events.cast_unsigned());
    }
}

/// The statistics of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainStats {
    /// Which.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Every parameter that is a non-negative number, in libvirt's order.
    pub values: Vec<(String, u64)>,
}

/// Statistics of all domains in one call (`virConnectGetAllDomainStats`).
///
/// # Errors
/// libvirt's error.
pub fn all_stats(connect: &Connect, stats: c_uint, flags: c_uint) -> Result<Vec<DomainStats>, Error> {
    let mut records: *mut c::virDomainStatsRecordPtr = ptr::null_mut();
    // SAFETY: the connection is alive and `records` receives a list that is freed below.
    let count = unsafe { c::virConnectGetAllDomainStats(connect.as_ptr(), stats, &mut records, flags) };
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    // SAFETY: libvirt returned a list of `count` valid records.
    let found = unsafe { slice(records, count) }
        .iter()
        .filter_map(|record| {
            // SAFETY: each entry points to a record, whose domain is alive and whose parameters are `nparams` many.
            unsafe {
                let record = &**record;
                let parameters = slice(record.params, usize::try_from(record.nparams).unwrap_or(0));
                Some(DomainStats {
                    uuid: uuid_of(record.dom)?,
                    name: copied(c::virDomainGetName(record.dom)).unwrap_or_default(),
                    values: parameters.iter().filter_map(|p| number(p)).collect(),
                })
            }
        })
        .collect();
    // SAFETY: the list is libvirt's, complete, and nothing points into it any more.
    unsafe { c::virDomainStatsRecordListFree(records) };
    Ok(found)
}

/// # Safety
/// `parameter` must be one that libvirt filled.
unsafe fn number(parameter: &c::virTypedParameter) -> Option<(String, u64)> {
    // SAFETY: the tag says which member of the union was written.
    let value = unsafe {
        match parameter.type_.cast_unsigned() {
            c::VIR_TYPED_PARAM_INT => u64::try_from(parameter.value.i).ok(),
            c::VIR_TYPED_PARAM_UINT => Some(u64::from(parameter.value.ui)),
            c::VIR_TYPED_PARAM_LLONG => u64::try_from(parameter.value.l).ok(),
            c::VIR_TYPED_PARAM_ULLONG => Some(parameter.value.ul),
            _ => None,
        }
    }?;
    // SAFETY: the name is NUL-terminated within its array.
    Some((unsafe { copied(parameter.field.as_ptr()) }?, value))
}

/// Limits how long libvirt waits for the agent of this domain at any later call (`virDomainAgentSetResponseTimeout`).
/// Without it a guest that never answers holds its caller forever.
///
/// # Errors
/// libvirt's error, for example that the machine is off.
pub fn limit_agent(domain: &Domain, seconds: c_int) -> Result<(), Error> {
    // SAFETY: the domain is alive.
    let code = unsafe { c::virDomainAgentSetResponseTimeout(domain.as_ptr(), seconds, 0) };
    if code < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// A network card of a guest and its addresses, from some source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The interface's name: the guest's own with the agent, the host's tap device otherwise.
    pub name: String,
    /// Addresses as text; a guest's agent may return anything.
    pub addresses: Vec<String>,
}

/// Addresses of a domain by one source (`virDomainInterfaceAddresses`).
///
/// # Errors
/// libvirt's error, for example that the agent does not answer.
pub fn interface_addresses(domain: &Domain, source: c_uint) -> Result<Vec<Card>, Error> {
    let mut list: *mut c::virDomainInterfacePtr = ptr::null_mut();
    // SAFETY: the domain is alive and `list` receives an array that is freed below.
    let count = unsafe { c::virDomainInterfaceAddresses(domain.as_ptr(), &mut list, source, 0) };
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    let mut cards = Vec::with_capacity(count);
    // SAFETY: libvirt returned an array of `count` interfaces, each with `naddrs` addresses; all strings end with NUL. Each
    // interface is freed once after it was copied, then the array.
    unsafe {
        for interface in slice(list, count) {
            let card = &**interface;
            let addresses = slice(card.addrs, usize::try_from(card.naddrs).unwrap_or(0));
            cards.push(Card {
                name: copied(card.name).unwrap_or_default(),
                addresses: addresses.iter().filter_map(|address| copied(address.addr)).collect(),
            });
            c::virDomainInterfaceFree(*interface);
        }
        libc_free(list.cast());
    }
    Ok(cards)
}

/// # Safety
/// `first` must be null or point to `count` valid values.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: promised by the caller, and checked for null.
    unsafe { std::slice::from_raw_parts(first, count) }
}

unsafe extern "C" {
    // libvirt allocates with malloc(3); the C library is linked anyway.
    #[link_name = "free"]
    fn libc_free(pointer: *mut c_void);
}
