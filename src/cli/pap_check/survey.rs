//! What a gateway is like, asked before the cases: whether it serves the number and the group, and which of the optional
//! operations it implements.

use super::answer::Answer;
use super::case::{Case, Operation, Step};
use super::options::Args;

/// How far an operation is implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Done,
    /// Answered with 3001, as the specification has it for an operation that is left out.
    LeftOut,
    /// Answered with something else.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Survey {
    /// The element that a push to the number was answered with.
    pub(super) alive: Option<String>,
    support: [Support; 3],
    pub(super) hints: Vec<String>,
}

/// The request that shows whether an operation is implemented.
pub(super) fn question(operation: Operation) -> Step {
    let (request, answer) = operation.elements();
    let document = match operation {
        Operation::Cancel | Operation::Status => format!("<{request} push-id=\"{{id}}\"/>"),
        Operation::Capabilities => {
            format!("<{request} query-id=\"{{id}}\"><address address-value=\"{{number-address}}\"/></{request}>")
        }
    };
    Step::of("application/xml", format!("{{xml}}\n<pap>{document}</pap>\n"), answer)
}

impl Survey {
    /// Before anything was asked.
    pub(super) fn nothing() -> Self {
        Self { alive: None, support: [Support::Done; 3], hints: Vec::new() }
    }

    /// From the answers to a push to the number, to a push to the group, and to the questions about the operations.
    pub(super) fn of(args: &Args, number: &Answer, group: Option<&Answer>, asked: [Option<&Answer>; 3]) -> Self {
        let mut hints = Vec::new();
        if number.document().is_none() {
            hints.push(format!(
                "the answer to a plain push is no PAP, so every case will fail: is {} the path of a PAP endpoint? {}",
                args.url.path(),
                number.summary()
            ));
        }
        if number.code() == Some(2002) {
            hints.push(format!(
                "the gateway does not serve the number +{0} (it answers 2002), so most cases will fail. Name a number that \
                 it serves with --number DIGITS. With papcast, make it a member of a group: papcast member add {1} \
                 tel:+{0} --create",
                args.number,
                args.group.as_deref().unwrap_or("kit")
            ));
        }
        if let (Some(name), Some(2002)) = (&args.group, group.and_then(Answer::code)) {
            hints.push(format!(
                "the gateway does not serve the group {name} (it answers 2002), so the cases about groups will fail. With \
                 papcast: papcast group add {name}"
            ));
        }
        let document = |answer: Option<&Answer>| answer.and_then(Answer::document).map(|node| node.name.clone());
        let support = std::array::from_fn(|at| {
            let answered = document(asked[at]).is_some_and(|name| name == Operation::ALL[at].elements().1);
            match asked[at].and_then(Answer::code) {
                Some(3001) if answered => Support::LeftOut,
                _ if answered => Support::Done,
                _ => Support::Unknown,
            }
        });
        Self { alive: document(Some(number)), support, hints }
    }

    /// The first operation that a case needs and the gateway does not have.
    pub(super) fn missing(&self, case: &Case) -> Option<Operation> {
        if case.always {
            return None;
        }
        let needed = case.step.iter().filter_map(Step::operation);
        let mut missing = needed.filter(|(operation, may_be_left_out)| match self.support[*operation as usize] {
            Support::Done => false,
            Support::LeftOut => !may_be_left_out,
            Support::Unknown => true,
        });
        missing.next().map(|(operation, _)| operation)
    }
}
