// What perso.js takes and gives; see docs/clients.md.
// In a TypeScript project: /// <reference path="perso.d.ts" />

interface PersoConfiguration {
  datastreamId: string;
  /** As in `5BFE274A5F6980A50A495C08@AdobeOrg`. */
  orgId: string;
  /** Scheme, host and port. Without it and without `edgeDomain`: the page's own origin. */
  edgeUrl?: string;
  /** A host, asked over https. */
  edgeDomain?: string;
  /** `ee`, where it is not given. */
  edgeBasePath?: string;
  /** Until the visitor chooses. `in`, where it is not given. */
  defaultConsent?: "in" | "pending" | "out";
  /** After so many milliseconds the page gets its defaults. 5000, where it is not given. */
  answerWithinMs?: number;
  edgeConfigOverrides?: PersoOverrides;
}

interface PersoOverrides {
  datastreamId?: string;
  com_adobe_experience_platform?: {
    enabled?: boolean;
    com_adobe_edge_segmentation?: { enabled?: boolean };
    com_adobe_edge_destinations?: { enabled?: boolean };
    [setting: string]: unknown;
  };
  [service: `com_adobe_${string}`]: object | undefined;
}

interface PersoEvent {
  /** Goes before what perso.js finds itself: time, address, referrer, viewport. */
  xdm?: { eventType?: string; [field: string]: unknown };
  data?: Record<string, unknown>;
  /** The same as `xdm.eventType`. */
  type?: string;
  /** The page is closing: send it by beacon, without an answer. */
  documentUnloading?: boolean;
  edgeConfigOverrides?: PersoOverrides;
}

/** One destination's audiences. */
interface PersoDestination {
  type: "profileLookup";
  destinationId: string;
  /** The destination's integration alias. */
  alias: string;
  segments: { id: string; namespace: "ups" }[];
}

interface PersoAnswer {
  destinations: PersoDestination[];
  propositions: unknown[];
  decisions: unknown[];
  /** Where the edge failed or was late, why the lists are empty; where they came all the same, why
   *  the event is not known to be kept. */
  failed?: string;
}

interface PersoConsent {
  standard: string;
  version: string;
  value: unknown;
}

interface PersoIdentity {
  id: string;
  authenticatedState?: "ambiguous" | "authenticated" | "loggedOut";
  primary?: boolean;
}

/** Without the visitor's consent a command that needs it resolves with `{}`. */
type PersoRefused = { [key in never]: never };

interface Perso {
  (command: "configure", options: PersoConfiguration): Promise<PersoRefused>;
  (command: "sendEvent", options?: PersoEvent): Promise<PersoAnswer | PersoRefused>;
  (
    command: "setConsent",
    options: {
      consent: PersoConsent[];
      identityMap?: Record<string, PersoIdentity[]>;
      edgeConfigOverrides?: PersoOverrides;
    },
  ): Promise<PersoRefused>;
  (
    command: "getIdentity",
    options?: { edgeConfigOverrides?: PersoOverrides },
  ): Promise<{ identity: { ECID: string | null }; edge: object } | PersoRefused>;
  (
    command: "appendIdentityToUrl",
    options: { url: string; edgeConfigOverrides?: PersoOverrides },
  ): Promise<{ url: string }>;
  (
    command: "applyResponse",
    options: { responseBody: { handle: { type: string; payload: unknown[] }[] } },
  ): Promise<PersoAnswer>;
}

declare const perso: Perso;
interface Window {
  perso: Perso;
}
