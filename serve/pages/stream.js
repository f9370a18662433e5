// One stream of events that lasts, given to Gradio's client in place of the many that the server ends (decision 022).
// The server ends a stream when it owes nothing more. An event that it takes just then is never heard of: its client
// still believes the stream to be open. Here it is known what is owed, so the next stream is asked for.
(() => {
  const fetched = window.fetch;
  const owed = new Set(); // events the server took, whose end was not heard
  const early = new Set(); // events whose end was heard before the server's word that it took them
  let wake = () => {};

  const taken = async (answer) => {
    const id = answer.ok && (await answer.clone().json()).event_id;
    if (id && !early.delete(id)) owed.add(id);
    wake();
    return answer;
  };

  // What is heard of events, noted; whether the client should hear it too.
  const noted = (message) => {
    if (message.msg === "process_completed" && !owed.delete(message.event_id)) early.add(message.event_id);
    if (message.msg === "unexpected_error" && !message.event_id) owed.clear();
    return message.msg !== "close_stream";
  };

  const pour = async (body, out) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const bytes = new TextEncoder();
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

  const flow = async (answer, request, out) => {
    request.signal.addEventListener("abort", () => out.error(request.signal.reason));
    try {
      for (;;) {
        if (!answer.ok) throw answer;
        const heard = await pour(answer.body, out);
        if (owed.size && !heard) throw new Error("The server ended its stream and said nothing.");
        while (!owed.size) await new Promise((resolve) => (wake = resolve));
        answer = await fetched(request);
      }
    } catch (fault) {
      owed.clear(); // the client is told that the connection is lost, and reloads the page
      out.error(fault);
    }
  };

  window.fetch = async (resource, options) => {
    const url = String((resource && resource.url) || resource);
    const answer = await fetched(resource, options);
    if (url.includes("/queue/join")) return taken(answer);
    if (!url.includes("/queue/data") || !answer.ok) return answer;
    const request = new Request(resource, options);
    const body = new ReadableStream({ start: (out) => void flow(answer, request, out) });
    return new Response(body, { status: answer.status, headers: answer.headers });
  };
})();
