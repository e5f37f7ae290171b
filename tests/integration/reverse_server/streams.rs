//! `Stream`: relayed to the module that its first message names, or answered with pongs.

use std::pin::Pin;

use otus::gufo::dialect::Dialect;
use otus::proto::reverse::{Request, Response, reverse_server};
use otus::snapshot::server::IoDriver;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status, Streaming};

use super::{Caller, failure, listen, own, request, start, value};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::{Client, framed, status};
use crate::support::service::{Serving, json_any};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// Answers each message with its arguments, and ends when its caller does.
struct Talker;

#[tonic::async_trait]
impl reverse_server::Reverse for Talker {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn r#do(&self, _: tonic::Request<Request>) -> Result<tonic::Response<Response>, Status> {
        Err(Status::unimplemented("none"))
    }

    async fn stream(
        &self,
        request: tonic::Request<Streaming<Request>>,
    ) -> Result<tonic::Response<Self::StreamStream>, Status> {
        let answers = request.into_inner().map(|message| {
            let message = message?;
            match message.param.as_deref() {
                Some("fail") => Err(Status::already_exists("as asked")),
                _ => Ok(Response { data: message.args, ..Response::default() }),
            }
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }
}

fn talking(io: IoDriver) -> (Gateway, Serving) {
    let serving = Serving::start("127.0.0.1:0".parse().unwrap(), |mut server| {
        server.add_service(reverse_server::ReverseServer::new(Talker))
    });
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("talk", serving.address);
        listen(snapshot);
    });
    (gateway, serving)
}

/// A stream that was begun with this message.
struct Talk {
    say: Option<mpsc::Sender<Request>>,
    hear: Streaming<Response>,
    caller: Caller,
}

impl Talk {
    fn begin(gateway: &Gateway, first: Request) -> Talk {
        let mut caller = Caller::connect(gateway);
        let (say, said) = mpsc::channel(4);
        say.try_send(first).unwrap();
        let begun = caller.client.stream(ReceiverStream::new(said));
        let hear = caller.runtime.block_on(begun).unwrap().into_inner();
        Talk { say: Some(say), hear, caller }
    }

    fn say(&mut self, message: Request) {
        let say = self.say.as_ref().unwrap();
        self.caller.runtime.block_on(say.send(message)).unwrap();
    }

    /// What comes next; none at the end.
    fn hear(&mut self) -> Result<Option<Response>, Status> {
        self.caller.runtime.block_on(self.hear.message())
    }
}

fn numbered(module: &str, number: usize) -> Request {
    let args = [("n".to_owned(), json_any(&number.to_string()))].into();
    Request { args, ..request(module, "talk") }
}

#[test]
fn each_message_of_a_stream_without_a_module_is_answered_with_a_pong() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let mut talk = Talk::begin(&gateway, numbered("", 0));
        for number in 1..5 {
            let pong = talk.hear().unwrap().unwrap();
            let any = &pong.data["echo"];
            assert_eq!(any.type_url, "type.googleapis.com/google.protobuf.StringValue");
            assert_eq!(String::decode(&any.value[..]).unwrap(), "pong");
            talk.say(numbered("", number));
        }
        talk.hear().unwrap().unwrap();
        drop(talk.say.take());
        assert_eq!(talk.hear().unwrap(), None);
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}

#[test]
fn a_stream_goes_both_ways_message_by_message_until_its_caller_ends_it() {
    on_both_drivers(|io| {
        let (gateway, _serving) = talking(io);
        let mut talk = Talk::begin(&gateway, numbered("talk", 0));
        for number in 1..20 {
            // The next is said only when the answer is here.
            assert_eq!(value(&talk.hear().unwrap().unwrap(), "n"), (number - 1).to_string());
            talk.say(numbered("talk", number));
        }
        drop(talk.say.take());
        assert_eq!(value(&talk.hear().unwrap().unwrap(), "n"), "19");
        assert_eq!(talk.hear().unwrap(), None);
        gateway.is_clean();
    });
}

#[test]
fn how_a_module_ends_a_stream_is_passed_on() {
    on_both_drivers(|io| {
        let (gateway, _serving) = talking(io);
        let mut talk = Talk::begin(&gateway, numbered("talk", 0));
        talk.hear().unwrap().unwrap();
        talk.say(Request { param: Some("fail".into()), ..numbered("talk", 1) });
        let status = talk.hear().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::AlreadyExists, "as asked"));
        gateway.is_clean();
    });
}

#[test]
fn many_messages_in_one_piece_are_all_relayed() {
    on_both_drivers(|io| {
        let (gateway, _serving) = talking(io);
        let client = Client::connect(own(&gateway));
        let mut call = client.begin("POST", "/Reverse/Stream", &CALL, false);
        let messages = (0..3000).map(|n| framed(&numbered("talk", n).encode_to_vec()));
        let bytes: Vec<u8> = messages.flatten().collect();
        call.send(&bytes, true).unwrap();
        let reply = call.reply();
        assert_eq!(status(&reply), "0");
        let mut rest = &reply.body[..];
        for number in 0..3000_u32 {
            let len = usize::try_from(u32::from_be_bytes(rest[1..5].try_into().unwrap())).unwrap();
            let response = Response::decode(&rest[5..5 + len]).unwrap();
            assert_eq!(value(&response, "n"), number.to_string());
            rest = &rest[5 + len..];
        }
        assert!(rest.is_empty());
        gateway.is_clean();
    });
}

#[test]
fn a_caller_that_resets_its_stream_cancels_it_at_the_module() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let client = Client::connect(own(&gateway));
        let mut call = client.begin("POST", "/Reverse/Stream", &CALL, false);
        let first = framed(&request("echo", "x").encode_to_vec());
        call.send(&first, false).unwrap();
        assert_eq!(service.journal.begun(0), request("echo", "x"));
        call.body.send_reset(h2::Reason::CANCEL);
        service.journal.left(0);
        gateway.is_clean();
    });
}

#[test]
fn a_module_that_takes_nothing_holds_its_caller_up() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |_| ());
        let client = Client::connect(own(&gateway));
        let mut call = client.begin("POST", "/Reverse/Stream", &CALL, false);
        call.send(&framed(&request("echo", "stall").encode_to_vec()), false).unwrap();
        service.journal.begun(0);
        let mut sent = 0;
        call.body.reserve_capacity(1 << 30);
        while let Some(room) = call.room_soon() {
            call.send(&vec![0; room], false).unwrap();
            call.body.reserve_capacity(1 << 30);
            sent += room;
            assert!(sent < 8 << 20, "{sent} bytes are held for a module that takes none");
        }
        call.body.send_reset(h2::Reason::CANCEL);
        gateway.is_clean();
    });
}

#[test]
fn a_stream_that_cannot_be_relayed_is_told_so_in_data() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io, |snapshot| {
            let other = snapshot.upstreams[0].endpoints[0].address;
            snapshot.add_module("packaged", other);
            snapshot.gufo.modules_mut()[1].dialect = Dialect::C;
        });
        for (first, want) in [
            (request("nobody", "x"), ("404", "\"0000501\"")),
            (request("packaged", "x"), ("501", "\"0000500\"")),
            (Request { sign: None, ..request("echo", "x") }, ("401", "\"00001\"")),
            (Request { sign: None, ..request("", "x") }, ("401", "\"00001\"")),
        ] {
            let mut talk = Talk::begin(&gateway, first);
            let (status, code) = failure(&talk.hear().unwrap().unwrap());
            assert_eq!((&*status, &*code), want);
            assert_eq!(talk.hear().unwrap(), None);
        }
        assert!(service.journal.since(0).is_empty());
        gateway.is_clean();
    });
}
