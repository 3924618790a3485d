//! Modules of the library as the steps of a plan.

use std::sync::Arc;

use engine::{Instance, LogLevel, LogLine, Module};
use model::{Answer, Digest, Event, Fault, Limits, Plan, StepPlan};
use pipeline::ports::{Loader, PortError, Step, StepInstance, StopReason};

use crate::app::library::{Library, LoadError};

/// Loads plans from the node's library.
pub(crate) struct ModuleLoader(pub(crate) Arc<Library>);

/// Loads plans whose modules' words go nowhere, since the same events say them already.
pub(crate) struct QuietLoader(pub(crate) Arc<Library>);

struct ModuleStep {
    module: Module,
    config: Arc<str>,
    limits: Limits,
    speaker: Option<Speaker>,
}

struct ModuleInstance {
    instance: Instance,
    speaker: Option<Speaker>,
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
        load(&self.0, plan, |step| Some(Speaker::new(plan, step))).await
    }

    fn engine(&self) -> &str {
        self.0.engine().fingerprint()
    }
}

impl Loader for QuietLoader {
    async fn load(&self, plan: &Plan) -> Result<Vec<Arc<dyn Step>>, PortError> {
        load(&self.0, plan, |_| None).await
    }

    fn engine(&self) -> &str {
        self.0.engine().fingerprint()
    }
}

async fn load(
    library: &Library,
    plan: &Plan,
    speaker: impl Fn(&StepPlan) -> Option<Speaker>,
) -> Result<Vec<Arc<dyn Step>>, PortError> {
    let mut steps: Vec<Arc<dyn Step>> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let module = library.load(step.module).await.map_err(|error| port_error(&error))?;
        let module = module.with_output(step.output).map_err(|error| {
            StopReason::new(
                "module-refused",
                format!("step '{}', module {}: {error}", step.name, step.module),
            )
        })?;
        let config = String::from_utf8(step.config_bytes()).expect("JSON is UTF-8");
        let (limits, speaker) = (step.limits, speaker(step));
        steps.push(Arc::new(ModuleStep { module, config: config.into(), limits, speaker }));
    }
    Ok(steps)
}

impl Step for ModuleStep {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        let speaker = self.speaker.clone();
        let instance = self
            .module
            .instantiate(self.config.clone(), &self.limits, &mut |line| say(speaker.as_ref(), None, &line))?;
        Ok(Box::new(ModuleInstance { instance, speaker }))
    }
}

impl StepInstance for ModuleInstance {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        let Self { instance, speaker } = self;
        instance.process(event, &mut |line| say(speaker.as_ref(), Some(event.sequence), &line))
    }

    fn fuel_used(&self) -> u64 {
        self.instance.last_call().fuel_used
    }
}

fn say(speaker: Option<&Speaker>, sequence: Option<u64>, line: &LogLine) {
    if let Some(speaker) = speaker {
        speaker.say(sequence, line);
    }
}

impl Speaker {
    fn new(plan: &Plan, step: &StepPlan) -> Self {
        let (pipeline, step_name) = (plan.pipeline.as_str(), step.name.as_str());
        Self { pipeline: pipeline.into(), step: step_name.into(), module: step.module }
    }

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
