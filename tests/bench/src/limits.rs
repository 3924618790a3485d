//! What limits each row. Of rows 8, 13 and 14 that is inferred from processor times and from what was varied;
//! of the others it is what profiles showed (perf on the node and on the server, processor time of both).
//! Sentences, not measurements: whoever finds another limit writes it here.

/// The limit of a row, by its number.
pub(crate) fn of(id: &str) -> &'static str {
    match id {
        "1" | "2" => {
            "the broker: of 20 s of processor for a million records the server takes 15; the two ids of each record \
             cost it 2.5 s more than the bare append's single header"
        }
        "3" => "the broker, as in row 1; masking runs beside it on what the server leaves of two cores",
        "4a" | "4b" => {
            "the guest and the copy: half is the guest's own code, for x86-64-v2; half is wasmtime's lowering and \
             lifting, a realloc for each string"
        }
        "5" => "the call: MessagePack in and out, fuel and the way into the store",
        "6a" | "6b" => "the kernel: page faults and madvise of fresh linear memory",
        "7a" | "7b" | "7c" | "7d" => {
            "the kernel: wake-ups between three processes on two cores; on file, the server's writes"
        }
        "8a" | "8b" => "the sandbox: one call for each line; the broker is idle",
        "9a" => "the guest: jaq's values, allocated and freed in the sandbox",
        "9b" | "9c" => "the call of a component, then parsing JSON in the guest",
        "10" => "the broker: both streams are delivered by it, message by message; then execution",
        "11a" => "compiling: cranelift on two cores, then the pipeline's first look at its streams",
        "11b" => "the broker: some twenty requests for each pipeline",
        "11c" => "nothing: the next module is compiled and loaded before the swap",
        "11d" => {
            "time on purpose: a standby node looks every 250 ms, and wants the chain to stand still between two looks"
        }
        "12a" | "12b" | "12c" => "buffers of connections; instances' memory is pooled and given back",
        "13a" | "13b" => {
            "the broker: a round of consensus for each batch of records, and three servers on two cores"
        }
        "13c" => "the disk: one sync for each write of the server",
        "14a" => "the broker, as in row 1; and with few events for each pipeline, the requests that start it",
        "14b" | "14d" => "the broker, as in row 1, until steps or work take more than its core leaves",
        "14c" => "copies: in the server, in the kernel, into the guest and out of it",
        "15" => {
            "the kernel: the compiler's threads give way, and still take the caches and the moment of a switch"
        }
        _ => "",
    }
}
