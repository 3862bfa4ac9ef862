/* The world of wit/metric.wit in its binary form, as a custom section: what `wit_component::metadata::encode` makes of
 * it. It changes only when the contract gets a new version.
 */
#ifndef TIDEMARK_COMPONENT_TYPE_H
#define TIDEMARK_COMPONENT_TYPE_H

__asm__(
    ".section \".custom_section.component-type:tidemark:metric@1.0.0:metric-module:encoded world\",\"\",@\n"
    ".ascii \"\\000asm\\015\\000\\001\\000\\000\\031\\026wit-component-encoding\\004\\000\\007\\376\\006\\001A\"\n"
    ".ascii \"\\002\\001A\\010\\001B\\033\\001py\\001p}\\001r\\002\\004ends\\000\\005bytes\\001\\004\\000\\014byte\"\n"
    ".ascii \"-strings\\003\\000\\002\\001px\\001pu\\001q\\004\\010booleans\\001\\001\\000\\010integers\\001\\004\"\n"
    ".ascii \"\\000\\006floats\\001\\005\\000\\005texts\\001\\003\\000\\004\\000\\006values\\003\\000\\006\\001r\"\n"
    ".ascii \"\\002\\010validity\\001\\006values\\007\\004\\000\\006column\\003\\000\\010\\001r\\006\\004keys\\003\"\n"
    ".ascii \"\\015window-starts\\004\\013window-ends\\004\\005times\\004\\010row-ends\\000\\006states\\003\\004\"\n"
    ".ascii \"\\000\\006groups\\003\\000\\012\\001p\\011\\001r\\003\\007columns\\014\\013event-times\\004\\006grou\"\n"
    ".ascii \"ps\\013\\004\\000\\005batch\\003\\000\\015\\001m\\005\\012window-end\\005timer\\007expired\\016unmat\"\n"
    ".ascii \"ched-left\\017unmatched-right\\004\\000\\014close-reason\\003\\000\\017\\001r\\002\\006groups\\000\"\n"
    ".ascii \"\\007columns\\014\\004\\000\\007emitted\\003\\000\\021\\001r\\002\\005groupy\\004timex\\004\\000\"\n"
    ".ascii \"\\005timer\\003\\000\\023\\001r\\002\\005groupy\\007messages\\004\\000\\007failure\\003\\000\\025\"\n"
    ".ascii \"\\001p\\024\\001p\\026\\001r\\004\\006states\\003\\007emitted\\022\\006timers\\027\\010failures\\030\"\n"
    ".ascii \"\\004\\000\\006folded\\003\\000\\031\\003\\000\\033tidemark:metric/types@1.0.0\\005\\000\\002\\003\"\n"
    ".ascii \"\\000\\000\\005batch\\002\\003\\000\\000\\014byte-strings\\002\\003\\000\\000\\014close-reason\\002\"\n"
    ".ascii \"\\003\\000\\000\\006folded\\001B\\025\\002\\003\\002\\001\\001\\004\\000\\005batch\\003\\000\\000\"\n"
    ".ascii \"\\002\\003\\002\\001\\002\\004\\000\\014byte-strings\\003\\000\\002\\002\\003\\002\\001\\003\\004\"\n"
    ".ascii \"\\000\\014close-reason\\003\\000\\004\\002\\003\\002\\001\\004\\004\\000\\006folded\\003\\000\\006\"\n"
    ".ascii \"\\001@\\000\\000s\\004\\000\\010describe\\001\\010\\001j\\000\\001s\\001@\\001\\004jsons\\000\\011\"\n"
    ".ascii \"\\004\\000\\011configure\\001\\012\\001@\\001\\005batch\\001\\000\\007\\004\\000\\006update\\001\"\n"
    ".ascii \"\\013\\001@\\002\\005batch\\001\\006reason\\005\\000\\007\\004\\000\\005close\\001\\014\\001@\\002\"\n"
    ".ascii \"\\004left\\003\\005right\\003\\000\\007\\004\\000\\005merge\\001\\015\\001@\\002\\006states\\003\"\n"
    ".ascii \"\\004fromy\\000\\007\\004\\000\\007migrate\\001\\016\\004\\000\\034tidemark:metric/metric@1.0.0\\005\"\n"
    ".ascii \"\\005\\004\\000#tidemark:metric/metric-module@1.0.0\\004\\000\\013\\023\\001\\000\\015metric-module\"\n"
    ".ascii \"\\003\\000\\000\\000/\\011producers\\001\\014processed-by\\001\\015wit-component\\0070.258.3\"\n"
    ".text\n"
);

#endif
