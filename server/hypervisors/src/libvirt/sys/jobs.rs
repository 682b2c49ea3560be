//! A domain's background job: a backup that libvirt makes while the machine runs.

use super::{copied, slice};
use std::ffi::{CString, c_uint};
use std::ptr;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys as c;

/// What is known of a domain's job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// `virDomainJobType`: none, under way, completed, failed, cancelled.
    pub state: u32,
    /// Bytes of disks in all.
    pub total: u64,
    /// Bytes of disks done.
    pub done: u64,
    /// Why it failed.
    pub error: Option<String>,
}

impl Job {
    /// Whether it is under way.
    pub fn is_running(&self) -> bool {
        [c::VIR_DOMAIN_JOB_BOUNDED, c::VIR_DOMAIN_JOB_UNBOUNDED].contains(&self.state)
    }
}

/// Begins a backup (`virDomainBackupBegin`); it goes on after this has returned. `xml` has no NUL.
///
/// # Errors
/// libvirt's error.
pub fn begin_backup(domain: &Domain, xml: &str, flags: c_uint) -> Result<(), Error> {
    let xml = CString::new(xml).unwrap_or_default();
    // SAFETY: the domain is alive, the string ends with NUL, and no checkpoint is asked for.
    let code = unsafe { c::virDomainBackupBegin(domain.as_ptr(), xml.as_ptr(), ptr::null(), flags) };
    if code < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// The description of the backup that is under way (`virDomainBackupGetXMLDesc`).
///
/// # Errors
/// When there is none, among others.
pub fn backup_xml(domain: &Domain) -> Result<String, Error> {
    // SAFETY: the domain is alive.
    let text = unsafe { c::virDomainBackupGetXMLDesc(domain.as_ptr(), 0) };
    // SAFETY: libvirt returned null or a string that ends with NUL and is ours to free.
    let xml = unsafe { copied(text) };
    // SAFETY: as above, and nothing points into it any more.
    unsafe { super::libc_free(text.cast()) };
    xml.ok_or_else(Error::last_error)
}

/// The domain's job now, or the last one that ended with the flag for that (`virDomainGetJobStats`).
///
/// # Errors
/// libvirt's error, for example that the machine is off.
pub fn job(domain: &Domain, flags: c_uint) -> Result<Job, Error> {
    let (mut state, mut count) = (0, 0);
    let mut list: c::virTypedParameterPtr = ptr::null_mut();
    // SAFETY: the domain is alive and `list` receives an array of `count` parameters that is freed below.
    let code = unsafe { c::virDomainGetJobStats(domain.as_ptr(), &mut state, &mut list, &mut count, flags) };
    if code < 0 {
        return Err(Error::last_error());
    }
    let mut job = Job { state: state.cast_unsigned(), ..Job::default() };
    // SAFETY: libvirt filled `count` parameters; the tag says which member of the union was written, and strings end with NUL.
    unsafe {
        for parameter in slice(list, usize::try_from(count).unwrap_or(0)) {
            let name = copied(parameter.field.as_ptr()).unwrap_or_default();
            match (name.as_str(), parameter.type_.cast_unsigned()) {
                ("disk_total", c::VIR_TYPED_PARAM_ULLONG) => job.total = parameter.value.ul,
                ("disk_processed", c::VIR_TYPED_PARAM_ULLONG) => job.done = parameter.value.ul,
                ("errmsg", c::VIR_TYPED_PARAM_STRING) => job.error = copied(parameter.value.s),
                _ => {}
            }
        }
        c::virTypedParamsFree(list, count);
    }
    Ok(job)
}

/// Ends the domain's job (`virDomainAbortJob`); it may take a moment after this has returned.
///
/// # Errors
/// libvirt's error, for example that there is none.
pub fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive.
    let code = unsafe { c::virDomainAbortJob(domain.as_ptr()) };
    if code < 0 { Err(Error::last_error()) } else { Ok(()) }
}
