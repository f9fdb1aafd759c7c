//! What a process holds: memory, file descriptors, tasks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

/// The system's allocator, counted.
#[derive(Debug)]
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub tasks: usize,
    pub files: usize,
}

impl Held {
    pub fn now() -> Self {
        // The folder that is being read is one of them, each time.
        let files = fs::read_dir("/proc/self/fd").expect("Linux").count();
        Self { tasks: Handle::current().metrics().num_alive_tasks(), files }
    }

    /// Waits until no more is held than this, and says what is.
    pub async fn again(self) -> Self {
        for _ in 0..1_000 {
            let now = Self::now();
            if now.tasks <= self.tasks && now.files <= self.files {
                return now;
            }
            sleep(Duration::from_millis(10)).await;
        }
        Self::now()
    }
}

/// Bytes that are allocated.
pub fn memory() -> usize {
    LIVE.load(Relaxed)
}
