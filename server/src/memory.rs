//! What the process keeps of memory that it once needed. Called first by `main`.
//!
//! glibc's malloc is made for programs that need again what they needed before. This one needs 19 MiB for the fraction
//! of a second that hashing a password takes, on any thread of the pool, and a few MiB for the answer about all domains
//! of a host. With the defaults each of those threads keeps both for good: after five logins the portal had 96 MB, with
//! this 39 MB.

/// Makes malloc give back large blocks and keep few heaps. C libraries other than glibc already do so.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    glibc::set();
}

#[cfg(target_env = "gnu")]
mod glibc {
    #![expect(unsafe_code, reason = "malloc is set up by mallopt(3), which is C")]

    use libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, c_int, mallopt};

    /// From this size on, in bytes, a block is mapped by itself and goes back to the system when
    /// it is freed. Set, it stays: glibc would raise it to the largest block that was ever freed. Pages and answers lie below.
    const MAPPED_FROM: c_int = 4 << 20;
    /// What may lie free at the end of a heap, in bytes; twice the other, as glibc has it. The
    /// default of 128 KiB would give the memory of each page back and fetch it again for the next.
    const FREE_MAX: c_int = 8 << 20;

    pub fn set() {
        // By default there are eight for each processor.
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let heaps = c_int::try_from(processors).unwrap_or(c_int::MAX);
        let settings = [(M_MMAP_THRESHOLD, MAPPED_FROM), (M_TRIM_THRESHOLD, FREE_MAX), (M_ARENA_MAX, heaps)];
        for (parameter, value) in settings {
            // SAFETY: takes two numbers, may be called by any thread at any time, and refuses what it does not know.
            unsafe { mallopt(parameter, value) };
        }
    }
}
