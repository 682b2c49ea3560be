//! What the process keeps of the memory that it once needed. Called first by `main`.
//!
//! glibc's malloc is made for programs that need again what they needed before. This one needs 19 MiB for the fraction of a
//! second in which a password is hashed, on whatever thread of the pool, and a few MiB for the answer about all domains of a
//! host. With the defaults each of those threads keeps both for good: after five logins the portal had 96 MB, with this 39 MB.

/// Lets malloc give back what is large, and keep few heaps. Other C libraries than glibc do so already.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    glibc::set();
}

#[cfg(target_env = "gnu")]
mod glibc {
    #![expect(unsafe_code, reason = "malloc is told by mallopt(3), which is C")]

    use std::ffi::c_int;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    /// `M_MMAP_THRESHOLD` of malloc.h: from this size on, in bytes, a block is mapped by itself and goes back to the system when
    /// it is freed. Set, it stays: glibc would raise it to the largest block that was ever freed. Pages and answers lie below.
    const MMAP_THRESHOLD: (c_int, c_int) = (-3, 4 << 20);
    /// `M_TRIM_THRESHOLD` of malloc.h: what may lie free at the end of a heap, in bytes; twice the other, as glibc has it. The
    /// default of 128 KiB would give the memory of each page back and fetch it again for the next.
    const TRIM_THRESHOLD: (c_int, c_int) = (-1, 8 << 20);
    /// `M_ARENA_MAX` of malloc.h: how many heaps there are at most; by default eight for each processor.
    const ARENA_MAX: c_int = -8;

    pub fn set() {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let heaps = c_int::try_from(processors).unwrap_or(c_int::MAX);
        for (parameter, value) in [MMAP_THRESHOLD, TRIM_THRESHOLD, (ARENA_MAX, heaps)] {
            // SAFETY: takes two numbers, may be called by any thread at any time, and refuses what it does not know.
            unsafe { mallopt(parameter, value) };
        }
    }
}
