//! What limits each row, as profiles showed it: perf on all processes, and the processor time of each.
//! Sentences, not measurements: whoever finds another limit writes it here.

/// The limit of a row, by its number.
pub(crate) fn of(id: &str) -> &'static str {
    match id {
        "1" | "2" => {
            "the broker: it takes two thirds of the processor; a record's two ids cost it 2 s a million (looking for headers \
             in a longer block, and the map of ids), and the node's sandbox and digests 2 s more than the bare append"
        }
        "3" => {
            "the guest: masking in the sandbox takes 1.7 times as long as native, on what the server leaves of two cores"
        }
        "4a" | "4b" => {
            "the guest and the copy: half is the guest's own code, for x86-64-v2; half is wasmtime's lowering and \
             lifting, a realloc for each string"
        }
        "5" => "the call: MessagePack in and out, fuel and the way into the store",
        "6a" | "6b" => "the kernel: page faults and madvise of fresh linear memory",
        "7a" | "7b" | "7c" | "7d" => {
            "the kernel: waking and switching threads on two cores, half of the node's processor time; on file, the server's \
             writes"
        }
        "8a" | "8b" => {
            "the sandbox: its threads take two thirds of the processor, a third of that in the guest and an eighth in SHA-256; \
             the server takes a fifth, in copies"
        }
        "9a" => "the guest: jaq's values, allocated and freed in the sandbox",
        "9b" | "9c" => {
            "the guest: parsing JSON without the wide vectors that native code has; then SHA-256 and resetting instances"
        }
        "10" => {
            "the broker: two fifths of the processor go into delivering an event's two messages, the rest into executing \
             it and taking both apart"
        }
        "11a" | "11e" => "compiling: cranelift on two cores, then the pipeline's first look at its streams",
        "11b" => "the broker: some twenty requests for each pipeline",
        "11c" => "nothing: the next module is compiled and loaded before the swap",
        "11d" => {
            "time on purpose: a standby node looks every 250 ms, and wants the chain to stand still between two looks"
        }
        "12a" | "12b" | "12c" => "buffers of connections; instances' memory is pooled and given back",
        "13a" | "13b" => {
            "the broker: three servers on two cores, each of which looks at the ids; the cores are idle for a sixth of the \
             time, waiting for a majority"
        }
        "13c" => "the disk: one sync for each write of the server",
        "14a" => "the broker, as in row 1",
        "14b" | "14d" => "the broker, as in row 1, until steps or work take more than its core leaves",
        "14c" => "copies: in the server, in the kernel, into the guest and out of it",
        "15" => {
            "the kernel: the compiler's threads give way, and still take the caches and the moment of a switch"
        }
        _ => "",
    }
}
