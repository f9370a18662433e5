// One stream of events that lasts, given to Gradio's client in place of the many that the server ends (decision 022).
// The server ends a stream when it owes nothing more. An event that it takes just then is never heard of: its client
// still believes the stream to be open. Here it is known what is owed, so the next stream is asked for.
(() => {
  const fetched = window.fetch;
  const owed = new Map(); // events the server took, whose end was not heard, and what was sent
  const early = new Set(); // events whose end was heard before the server's word that it took them
  let wake = () => {};

  const taken = async (answer, sent) => {
    const id = answer.ok && (await answer.clone().json()).event_id;
    if (id && !early.delete(id)) owed.set(id, sent);
    wake();
    return answer;
  };

  // What is heard of events, noted; whether the client should hear it too.
  const noted = (message) => {
    if (message.msg === "process_completed") {
      if (!owed.delete(message.event_id)) early.add(message.event_id);
      honeAway.heard(message.event_id);
    }
    // Said of none of them: the server ends, or is another one than took them.
    if (message.msg === "unexpected_error" && !message.event_id) throw new Error(message.message);
    return message.msg !== "close_stream";
  };

  const bytes = new TextEncoder();
  const pour = async (body, out) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let heard = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return heard;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      heard ||= parts.length > 0;
      for (const part of parts) {
        if (noted(JSON.parse(part.replace(/^data: /, "")))) out.enqueue(bytes.encode(`${part}\n\n`));
      }
    }
  };

  // The client would show its own words for a lost connection, take no event any more and reload the page. It is told
  // instead that what it waits for has failed, without a word: away.js has the words, and goes on.
  const broken = (out) => {
    for (const id of owed.keys()) {
      const end = { msg: "process_completed", event_id: id, success: false, output: { error: "", visible: false } };
      out.enqueue(bytes.encode(`data: ${JSON.stringify(end)}\n\n`));
    }
    honeAway.lost([...owed.values()]);
    owed.clear();
  };

  const flow = async (request, out) => {
    request.signal.addEventListener("abort", () => out.error(request.signal.reason));
    while (!request.signal.aborted) {
      try {
        const answer = await fetched(request);
        if (!answer.ok) throw new Error(`The server gave no stream: ${answer.status}.`);
        const heard = await pour(answer.body, out);
        if (owed.size && !heard) throw new Error("The server ended its stream and said nothing.");
      } catch {
        if (request.signal.aborted) return;
        broken(out);
      }
      while (!owed.size) await new Promise((resolve) => (wake = resolve));
    }
  };

  window.fetch = async (resource, options) => {
    const url = String((resource && resource.url) || resource);
    if (url.includes("/queue/join")) return taken(await fetched(resource, options), options?.body);
    if (!url.includes("/queue/data")) return fetched(resource, options);
    const request = new Request(resource, options);
    const body = new ReadableStream({ start: (out) => void flow(request, out) });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
})();
