//! A chain that is read while another node extends it.

use std::sync::{Arc, Mutex};

use pipeline::Workers;
use pipeline::chain;
use pipeline::ports::{Hint, PortError, Sink, Stored, Tail};

use crate::sim::{Node, Shared, SimAppender, SimSink, desired, event, plan, quick, until};

/// Shows the beginning of a chain, and a block more after each look at its end.
struct Growing {
    whole: Vec<Stored>,
    shown: Mutex<usize>,
    appenders: SimSink,
}

impl Growing {
    fn shown(&self) -> Vec<Stored> {
        self.whole[..*self.shown.lock().unwrap()].to_vec()
    }
}

impl Sink for Growing {
    type Appender = SimAppender;

    async fn tail(&self) -> Result<Tail, PortError> {
        let shown = self.shown();
        let grown = (shown.len() + 30).min(self.whole.len());
        *self.shown.lock().unwrap() = grown;
        Ok(Tail { last_sequence: shown.len() as u64, entry: shown.last().cloned() })
    }

    async fn last_on(&self, subject: &str) -> Result<Option<Stored>, PortError> {
        Ok(self.shown().into_iter().rfind(|stored| stored.subject == subject))
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        Ok(self.shown().get(sequence as usize - 1).cloned())
    }

    async fn hint(&self) -> Result<Option<Hint>, PortError> {
        self.appenders.hint().await
    }

    async fn keep_hint(&self, hint: Hint) -> Result<(), PortError> {
        self.appenders.keep_hint(hint).await
    }

    async fn appender(&self) -> Result<SimAppender, PortError> {
        self.appenders.appender().await
    }
}

/// Applying a plan under load was refused for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_grows_is_read_as_it_stood_at_one_moment() {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((1..=200).map(event));
    until("the events are through", || node.status.read().through == 200).await;
    node.drain().await;
    let whole = shared.chain.lock().unwrap().clone();
    for shown in [20, 25, 33] {
        let growing =
            Growing { whole: whole.clone(), shown: shown.into(), appenders: SimSink(shared.clone()) };
        let chain = chain::read(&growing, &plan(0, 16).pipeline).await.unwrap().unwrap();
        let last = &whole[chain.last_sequence as usize - 1];
        assert_eq!(chain.last.payload, last.payload);
        assert!(chain.last_sequence as usize >= shown);
    }
}
