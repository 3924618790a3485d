//! Modules of the library as the steps of a plan.

use std::sync::Arc;

use engine::{Instance, LogLevel, LogLine, Module};
use model::{Answer, Digest, Event, Fault, Limits, Plan, StepPlan};
use pipeline::ports::{Loader, PortError, Step, StepInstance, StopReason};

use crate::app::library::{Library, LoadError};

/// Loads plans from the node's library.
pub(crate) struct ModuleLoader(pub(crate) Arc<Library>);

struct ModuleStep {
    module: Module,
    config: Arc<str>,
    limits: Limits,
    speaker: Speaker,
}

struct ModuleInstance {
    instance: Instance,
    speaker: Speaker,
}

/// Whose words a log line holds.
#[derive(Clone)]
struct Speaker {
    pipeline: Arc<str>,
    step: Arc<str>,
    module: Digest,
}

impl Loader for ModuleLoader {
    async fn load(&self, plan: &Plan) -> Result<Vec<Arc<dyn Step>>, PortError> {
        let mut steps: Vec<Arc<dyn Step>> = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let module = self.0.load(step.module).await.map_err(|error| port_error(&error))?;
            steps.push(Arc::new(ModuleStep::new(plan, step, module)));
        }
        Ok(steps)
    }

    fn engine(&self) -> &str {
        self.0.engine().fingerprint()
    }
}

impl ModuleStep {
    fn new(plan: &Plan, step: &StepPlan, module: Module) -> Self {
        let config = String::from_utf8(step.config_bytes()).expect("JSON is UTF-8");
        let speaker = Speaker {
            pipeline: plan.pipeline.as_str().into(),
            step: step.name.as_str().into(),
            module: step.module,
        };
        Self { module, config: config.into(), limits: step.limits, speaker }
    }
}

impl Step for ModuleStep {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        let speaker = self.speaker.clone();
        let instance = self
            .module
            .instantiate(self.config.clone(), &self.limits, &mut |line| speaker.say(None, &line))?;
        Ok(Box::new(ModuleInstance { instance, speaker }))
    }
}

impl StepInstance for ModuleInstance {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        let Self { instance, speaker } = self;
        instance.process(event, &mut |line| speaker.say(Some(event.sequence), &line))
    }
}

impl Speaker {
    /// Passes on what a module logs, at the level that it chose.
    fn say(&self, sequence: Option<u64>, line: &LogLine) {
        let Self { pipeline, step, module } = self;
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(target: "weir::guest", %pipeline, %step, %module, sequence, "{}", line.text)
            };
        }
        match line.level {
            LogLevel::Debug => say!(debug),
            LogLevel::Info => say!(info),
            LogLevel::Warn => say!(warn),
            LogLevel::Error => say!(error),
        }
    }
}

fn port_error(error: &LoadError) -> PortError {
    let code = match error {
        LoadError::Unavailable(_) => return PortError::Unavailable(error.to_string()),
        LoadError::Missing(_) => "module-missing",
        LoadError::Altered(_) => "module-altered",
        LoadError::Refused(_) => "module-refused",
    };
    StopReason::new(code, error.to_string()).into()
}
