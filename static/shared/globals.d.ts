/** What the vendored scripts and the page's own events look like, for the type check; no browser loads this file. */

type Region = import("../study/viewer/regions.js").Region;

/** One request of htmx, from its events; `xhr.status` is 0 where there was no answer. */
interface HtmxDetail {
  elt: Element;
  xhr: XMLHttpRequest;
  target: Element;
  successful: boolean;
  shouldSwap: boolean;
  isError: boolean;
  requestConfig: { elt: Element; path: string };
}

/** What htmx is about to insert elsewhere than the answer's own place. */
interface HtmxOobDetail {
  target: Element;
  fragment: DocumentFragment;
}

/** A request that htmx is about to make. */
interface HtmxConfigDetail {
  elt: Element;
  parameters: Record<string, string>;
  formData: FormData;
}

/** A request that htmx asks about; `issueRequest(true)` makes it without asking again. */
interface HtmxConfirmDetail {
  elt: Element;
  issueRequest(skipConfirmation?: boolean): void;
}

interface DocumentEventMap {
  "htmx:load": CustomEvent;
  "htmx:configRequest": CustomEvent<HtmxConfigDetail>;
  "htmx:confirm": CustomEvent<HtmxConfirmDetail>;
  "htmx:beforeRequest": CustomEvent<HtmxDetail>;
  "htmx:beforeOnLoad": CustomEvent<HtmxDetail>;
  "htmx:beforeSwap": CustomEvent<HtmxDetail>;
  "htmx:afterSwap": CustomEvent<HtmxDetail>;
  "htmx:oobBeforeSwap": CustomEvent<HtmxOobDetail>;
  "htmx:oobAfterSwap": CustomEvent<HtmxDetail>;
  "htmx:afterRequest": CustomEvent<HtmxDetail>;
  "htmx:sendError": CustomEvent<HtmxDetail>;
  "htmx:responseError": CustomEvent<HtmxDetail>;
  /** Sent by the portal (HX-Trigger): the list is still the one of this version. */
  "list-unchanged": CustomEvent<{ value: string }>;
  "portal:single-keys": CustomEvent;
  /** Sent by the portal (HX-Trigger): a review of this study was stored. */
  "review-stored": CustomEvent;
  "review:draw": CustomEvent;
  "review:boxes": CustomEvent<{ boxes: Region[] }>;
  "viewer:ready": CustomEvent;
  "viewer:moved": CustomEvent;
  "viewer:box-drawn": CustomEvent<Pick<Region, "image" | "box">>;
}

interface HTMLElement {
  /** Of a live `figure.viewer`. */
  lightbox?: import("../study/viewer/lightbox.js").Lightbox;
}

interface DataTransferItem {
  /** Not in every browser, whatever the standard types say. */
  webkitGetAsEntry?(): FileSystemEntry | null;
}

declare const htmx: { trigger(element: Element, event: string): void };

declare const Idiomorph: {
  defaults: {
    callbacks: {
      beforeNodeMorphed(old: Node, next: Node): boolean;
      beforeAttributeUpdated(name: string, element: Element): boolean;
    };
  };
};

interface Window {
  Idiomorph?: typeof Idiomorph;
}
